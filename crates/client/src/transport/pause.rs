//! How long to wait before a call is made again.

use std::time::Duration;

use rand::RngExt;

/// How long to wait before try number `tries + 1`: what the server asks for (at most 10 s) and a little more, else a
/// jittered exponential pause of at most 5 s.
pub fn pause(tries: u32, asked: Option<Duration>) -> Duration {
    let longest = Duration::from_millis(250 << tries.min(5)).min(Duration::from_secs(5));
    let jittered = longest.mul_f64(rand::rng().random_range(0.5..1.0));
    asked.map_or(jittered, |asked| asked.min(Duration::from_secs(10)) + jittered / 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_within_its_bounds() {
        for tries in 1..100 {
            let pause = pause(tries, None);
            assert!(
                pause >= Duration::from_millis(250) && pause <= Duration::from_secs(5),
                "{tries}: {pause:?}"
            );
        }
        assert!(pause(10, None) >= Duration::from_millis(2_500));
    }

    #[test]
    fn the_server_is_asked_when_to_come_back_but_not_for_an_hour() {
        let second = pause(1, Some(Duration::from_secs(1)));
        assert!(second > Duration::from_secs(1) && second < Duration::from_millis(1_100), "{second:?}");
        assert!(pause(1, Some(Duration::from_secs(3_600))) < Duration::from_secs(11));
    }
}

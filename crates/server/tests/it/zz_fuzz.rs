//! temp
use crate::server::Server;
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "temp"]
async fn fuzz() {
    let server = Server::with(|c| {
        c.throttle.free_per_user = 1_000_000;
        c.throttle.free_per_ip = 1_000_000;
        c.access_ttl = std::time::Duration::from_hours(24);
    })
    .await;
    let admin = server.login("admin").await;
    let (worker, session) = server.worker().await;
    std::fs::write(
        "/tmp/fuzz.env",
        format!("BASE={}\nTOKEN={admin}\nWORKER={worker}\nSESSION={session}\n", server.base),
    )
    .unwrap();
    for _ in 0..6000 {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        server.clock.advance(std::time::Duration::from_millis(100));
        if std::path::Path::new("/tmp/fuzz.stop").exists() {
            break;
        }
    }
}

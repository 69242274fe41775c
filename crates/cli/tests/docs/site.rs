//! A web site on this machine that stands for the one in the documents' examples.

use std::net::TcpListener;

use crate::support::answer_with;

/// What the documents call it.
const PUBLIC: &str = "https://shop.example.com";

/// Serves until the test ends.
pub(crate) struct Site {
    port: u16,
}

impl Site {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                std::thread::spawn(move || answer_with(stream, "200 OK", "text/html", page));
            }
        });
        Self { port }
    }

    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The text with this site in place of the documents' one.
    pub(crate) fn stand_in(&self, text: &str) -> String {
        text.replace(PUBLIC, &format!("http://{}", self.address()))
    }
}

fn page(request: &str) -> String {
    let page = request.split("page=").nth(1).and_then(|rest| rest.chars().next()).unwrap_or('1');
    let item = |n| {
        format!("<li class=item><a href=/item/{page}{n}>Item {page}{n}</a> <b class=price>{n}.50</b></li>")
    };
    format!("<title>Page {page}</title><ul>{}</ul>", (1..=3).map(item).collect::<String>())
}

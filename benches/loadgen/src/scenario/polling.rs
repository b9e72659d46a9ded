//! An event there and back by polling: a POST and then a GET.
use std::io;
use std::time::Instant;

use serde_json::Value;

use super::numbered;
use crate::Args;
use crate::http::Http;
use crate::link::error;
use crate::tally::Tally;

pub(crate) async fn run(args: &Args) -> io::Result<Value> {
    let tally = Tally::new(args, 1, args.conns);
    let mut clients = Vec::new();
    for _ in 0..args.conns {
        let mut http = Http::dial(&args.target).await?;
        http.connect().await?;
        clients.push(http);
    }
    for mut http in clients {
        let (tally, size) = (tally.clone(), args.size);
        tokio::task::spawn_local(async move {
            let mut number = 0;
            while tally.take() {
                let event = format!("42[\"echo\",\"{}\"]", numbered(number, size));
                number += 1;
                let start = Instant::now();
                let there_and_back = async {
                    http.post(event.as_bytes()).await?;
                    match http.poll_until(event.as_bytes()).await? {
                        1 => Ok(()),
                        _ => error("more than one echo"),
                    }
                };
                if let Err(error) = there_and_back.await {
                    return tally.end(Err(error));
                }
                tally.complete(start.elapsed(), false);
            }
            std::future::pending().await // open until the process ends
        });
    }
    tally.report(args).await
}

//! Connections made, `--window` at once, and kept.
use std::io;
use std::time::Instant;

use serde_json::Value;

use crate::Args;
use crate::tally::Tally;
use crate::ws::Ws;

pub(crate) async fn run(args: &Args, upgrade: bool) -> io::Result<Value> {
    let tally = Tally::new(args, 1, args.window);
    for _ in 0..args.window {
        let (tally, target) = (tally.clone(), args.target.clone());
        tokio::task::spawn_local(async move {
            let mut held = Vec::new();
            while tally.take() {
                let start = Instant::now();
                let connect = async {
                    if upgrade {
                        Ws::connect_upgrade(&target, 512).await
                    } else {
                        Ws::connect(&target, 512).await
                    }
                };
                match connect.await {
                    Ok(ws) => held.push(ws),
                    Err(error) => return tally.end(Err(error)),
                }
                tally.complete(start.elapsed(), false);
            }
            std::future::pending().await // open until the process ends
        });
    }
    tally.report(args).await
}

//! A bot in the chat: whoever writes to it privately gets an answer. Its acknowledgements are the point: the sender's tick
//! turns into two when the bot has taken the message, not before, and the bot says how its answers arrived.
//!
//! ```text
//! cargo xtask demo                                           # in one terminal
//! cargo run -p socketio-examples --bin bot                   # in another; then write "roll 3d6" to Dicey in the browser
//! ```

use std::error::Error;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use socketio_tokio::client::Socket;
use socketio_tokio::{AckError, ClientBuilder};

#[derive(Deserialize)]
struct Said {
    from: String,
    text: String,
    target: Value,
}

#[derive(Debug, Deserialize)]
struct Answer {
    ok: bool,
    #[serde(default)]
    message: String,
    #[serde(default)]
    delivered: bool,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::args().nth(1).unwrap_or_else(|| "http://localhost:3000".to_owned());
    let client = ClientBuilder::new(&url).auth(json!({ "key": NAME })).build()?;
    client.on_connect(|socket| async move {
        // With a timeout an answer that never comes is an error, and not a task that never ends.
        match socket.timeout(PATIENCE).emit_with_ack::<Answer, _>("login", NAME).await {
            Ok(answer) if answer.ok => println!("{NAME} is in the chat"),
            Ok(refused) => println!("not let in: {}", refused.message),
            Err(error) => println!("not let in: {error}"),
        }
    });
    client.on_connect_error(|_, error| async move { println!("{error}; trying again") });
    client.on_disconnect(|_, reason| async move { println!("disconnected: {reason}") });

    // Handlers and loops can be mixed; here a loop, which has its own state without a lock.
    let mut events = client.events();
    client.connect();
    let mut dice = Dice(u64::from(std::process::id()) | 1);
    let mut served = 0_u32;
    while let Some(received) = events.next().await {
        if received.event.name() != "message" {
            continue;
        }
        let said: Said = match received.event.args().decode() {
            Ok(said) => said,
            Err(error) => {
                println!("a message that is none: {error}");
                continue;
            }
        };
        if said.target.get("user").is_none() {
            continue; // said in a room, to everybody
        }
        // Taken: now the sender may know. Dropping `ack` instead would leave the tick alone.
        received.ack.send(())?;
        served += 1;
        let reply = dice.roll(&said.text).unwrap_or_else(|| format!("try: roll 2d6 (you are no. {served})"));
        // The answer's own acknowledgement is waited for elsewhere, so that the next one is not kept waiting.
        tokio::spawn(answer((*client).clone(), said.from, reply));
    }
    Ok(())
}

async fn answer(socket: Socket, to: String, reply: String) {
    let asked =
        socket.timeout(PATIENCE).emit_with_ack::<Answer, _>("message", (json!({ "user": to }), &reply));
    match asked.await {
        Ok(Answer { ok: true, delivered: true, .. }) => println!("{to} has read: {reply}"),
        Ok(Answer { ok: true, .. }) => println!("{to} did not say whether it arrived: {reply}"),
        Ok(refused) => println!("{to}: {}", refused.message),
        Err(AckError::TimedOut) => println!("{to}: the server has not answered for {PATIENCE:?}"),
        Err(error) => println!("{to}: {error}"),
    }
}

/// Numbers that look random enough for a game (xorshift).
struct Dice(u64);

impl Dice {
    /// `roll 3d6`
    fn roll(&mut self, text: &str) -> Option<String> {
        let (count, sides) = text.trim().strip_prefix("roll ")?.split_once('d')?;
        let (count, sides): (u32, u64) = (count.parse().ok()?, sides.parse().ok()?);
        if !(1..=20).contains(&count) || !(2..=1000).contains(&sides) {
            return None;
        }
        let rolls: Vec<_> = (0..count).map(|_| self.next() % sides + 1).collect();
        let sum: u64 = rolls.iter().sum();
        Some(format!("{rolls:?} makes {sum}"))
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

const NAME: &str = "Dicey";

/// Longer than the server waits for the other one's acknowledgement.
const PATIENCE: Duration = Duration::from_secs(8);

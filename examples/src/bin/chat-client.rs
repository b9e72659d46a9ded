//! The chat from a terminal: talks to whoever is in the browser.
//!
//! ```text
//! cargo xtask demo                                                     # in one terminal
//! cargo run -p socketio-examples --bin chat-client -- --name Ada       # in another
//! ```

use std::collections::BTreeSet;
use std::error::Error;
use std::io;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Deserialize;
use serde_json::{Value, json};
use socketio_tokio::client::{DisconnectReason, Socket};
use socketio_tokio::{Ack, Bytes, Client, ClientBuilder};
use tokio::io::{AsyncBufReadExt, BufReader, stdin};
use tokio::sync::watch;

const USAGE: &str = "\
Usage: chat-client [--url URL] [--name NAME]

  --url URL     the chat's server; http://localhost:3000 unless given
  --name NAME   what to be called; the name of your account unless given

A line goes to the room you are in. Lines that begin with a slash:
  /join ROOM         go to a room      /leave             back to the lobby
  /msg NAME TEXT     to one person     /who               who is here
  /quit              or end of file";

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

async fn run() -> Result<(), String> {
    let mut args = pico_args::Arguments::from_env();
    if args.contains(["-h", "--help"]) {
        println!("{USAGE}");
        return Ok(());
    }
    let text = |error: pico_args::Error| format!("{error}; see --help");
    let url: Option<String> = args.opt_value_from_str("--url").map_err(text)?;
    let name: Option<String> = args.opt_value_from_str("--name").map_err(text)?;
    let rest = args.finish();
    if !rest.is_empty() {
        return Err(format!("unknown arguments {rest:?}; see --help"));
    }
    let url = url.unwrap_or_else(|| "http://localhost:3000".to_owned());
    let name = name.or_else(|| std::env::var("USER").ok()).unwrap_or_else(|| "somebody".to_owned());

    // A key of our own lets us take our name back when we return before the server has noticed that we were gone.
    let key = format!("{}-{}", std::process::id(), name);
    let client =
        ClientBuilder::new(&url).auth(json!({ "key": key })).build().map_err(|error| error.to_string())?;
    let me = Arc::new(Me {
        name,
        room: Mutex::new(LOBBY.to_owned()),
        people: Mutex::default(),
        signed_in: watch::Sender::new(false),
    });
    listen(&client, &me, &url);
    client.connect();
    talk(&client, &me).await.map_err(|error| error.to_string())?;
    client.shutdown().await;
    Ok(())
}

/// Who we are, where, and with whom.
struct Me {
    name: String,
    room: Mutex<String>,
    people: Mutex<BTreeSet<String>>,
    /// Whether the server knows our name: what is said before that is refused.
    signed_in: watch::Sender<bool>,
}

impl Me {
    fn room(&self) -> String {
        lock(&self.room).clone()
    }

    fn go_to(&self, room: &str) {
        room.clone_into(&mut lock(&self.room));
    }

    async fn signed_in(&self) {
        // It is changed as long as we are here.
        let _ = self.signed_in.subscribe().wait_for(|signed_in| *signed_in).await;
    }

    fn people(&self) -> String {
        lock(&self.people).iter().map(String::as_str).collect::<Vec<_>>().join(", ")
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An answer of the server: `{ok, code?, message?, …}`.
#[derive(Deserialize)]
struct Answer {
    ok: bool,
    #[serde(default)]
    message: String,
    #[serde(default)]
    users: Vec<String>,
    #[serde(default)]
    delivered: bool,
}

#[derive(Deserialize)]
struct Said {
    from: String,
    target: Value,
    #[serde(default)]
    text: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    data: Bytes,
}

/// Everything that comes from the server.
fn listen(client: &Client, me: &Arc<Me>, url: &str) {
    let this = me.clone();
    client.on_connect(move |socket| {
        let me = this.clone();
        // Each connection begins anew for the server: sign in again.
        async move { sign_in(&socket, &me).await }
    });
    let url = url.to_owned();
    client.on_connect_error(move |socket, error| {
        let again = if socket.is_active() { "; trying again" } else { "" };
        println!("\x1b[31m{url}: {error}{}{again}\x1b[0m", causes(&error));
        async {}
    });
    let this = me.clone();
    client.on_disconnect(move |_, reason: DisconnectReason| {
        this.signed_in.send_replace(false);
        if reason != DisconnectReason::IoClientDisconnect {
            let again = if reason.reconnects() { "; coming back" } else { "" };
            println!("\x1b[31mdisconnected: {reason}{again}\x1b[0m");
        }
        async {}
    });
    let this = me.clone();
    client.on("user joined", move |_, name: String| {
        println!("\x1b[2m{name} is here\x1b[0m");
        lock(&this.people).insert(name);
        async {}
    });
    let this = me.clone();
    client.on("user left", move |_, (name, reason): (String, String)| {
        println!("\x1b[2m{name} is gone: {reason}\x1b[0m");
        lock(&this.people).remove(&name);
        async {}
    });
    client.on("room joined", |_, (room, name): (String, String)| async move {
        println!("\x1b[2m{name} came to {room}\x1b[0m");
    });
    // The acknowledgement tells the sender of a private message that it has arrived.
    client.on("message", |_, said: Said| async move {
        show(&said, &said.text);
        Ack(())
    });
    client.on("picture", |_, said: Said| async move {
        show(&said, &format!("[{}: {} bytes]", said.name, said.data.len()));
        Ack(())
    });
}

fn show(said: &Said, text: &str) {
    match said.target["room"].as_str() {
        Some(room) => println!("\x1b[36m{}\x1b[0m in {room}: {text}", said.from),
        None => println!("\x1b[35m{} to you\x1b[0m: {text}", said.from),
    }
}

async fn sign_in(socket: &Socket, me: &Me) {
    match socket.emit_with_ack::<Answer, _>("login", &me.name).await {
        Ok(answer) if answer.ok => {
            *lock(&me.people) = answer.users.into_iter().collect();
            println!("\x1b[2mhere: {}\x1b[0m", me.people());
            let room = me.room();
            if room != LOBBY {
                ask(socket, "join", room).await;
            }
            me.signed_in.send_replace(true);
        }
        Ok(refused) => println!("\x1b[31m{} (--name chooses another name)\x1b[0m", refused.message),
        Err(error) => println!("\x1b[31mnot signed in: {error}\x1b[0m"),
    }
}

/// What led to an error, as far as it knows.
fn causes(error: &dyn Error) -> String {
    error.source().map_or_else(String::new, |source| format!(": {source}{}", causes(source)))
}

/// Everything that comes from the keyboard.
async fn talk(client: &Client, me: &Me) -> io::Result<()> {
    let mut lines = BufReader::new(stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        let line = line.trim();
        let (command, rest) = line.split_once(' ').unwrap_or((line, ""));
        // What is typed while there is no connection waits for the next one.
        if command != "/quit" {
            me.signed_in().await;
        }
        match command {
            "" => {}
            "/quit" => break,
            "/who" => println!("here: {}; you are in {}", me.people(), me.room()),
            "/join" => {
                if ask(client, "join", rest).await {
                    me.go_to(rest);
                }
            }
            "/leave" => {
                if ask(client, "leave", me.room()).await {
                    me.go_to(LOBBY);
                }
            }
            "/msg" => {
                let (to, text) = rest.split_once(' ').unwrap_or((rest, ""));
                send(client, json!({ "user": to }), text).await;
            }
            _ if command.starts_with('/') => println!("{USAGE}"),
            _ => send(client, json!({ "room": me.room() }), line).await,
        }
    }
    Ok(())
}

async fn send(client: &Client, target: Value, text: &str) {
    let private = target.get("user").is_some();
    match client.emit_with_ack::<Answer, _>("message", (target, text)).await {
        Ok(Answer { ok: true, delivered, .. }) if private => {
            println!(
                "\x1b[2m{}\x1b[0m",
                if delivered { "it has arrived" } else { "no sign of it having arrived" }
            );
        }
        Ok(Answer { ok: true, .. }) => {}
        Ok(refused) => println!("\x1b[31m{}\x1b[0m", refused.message),
        Err(error) => println!("\x1b[31mnot sent: {error}\x1b[0m"),
    }
}

async fn ask(socket: &Socket, event: &str, what: impl serde::Serialize) -> bool {
    match socket.emit_with_ack::<Answer, _>(event, what).await {
        Ok(answer) if answer.ok => return true,
        Ok(refused) => println!("\x1b[31m{}\x1b[0m", refused.message),
        Err(error) => println!("\x1b[31m{event}: {error}\x1b[0m"),
    }
    false
}

const LOBBY: &str = "lobby";

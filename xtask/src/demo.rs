//! `cargo xtask demo`: the chat, ready for two browser windows.

use std::io;
use std::net::{Ipv4Addr, TcpStream};
use std::process::{Child, ExitCode};
use std::thread::sleep;
use std::time::Duration;

use crate::command::Command;
use crate::{root, tools};

const FOLDER: &str = "examples/chat";

/// Runs the chat until it ends or is interrupted.
pub(crate) fn run(port: u16) -> io::Result<ExitCode> {
    if port == 0 || is_open(port) {
        eprintln!(
            "error: port {port} cannot be used or is taken; choose another: cargo xtask demo --port 3001"
        );
        return Ok(ExitCode::FAILURE);
    }
    // Without the other examples, which bring a web framework and TLS to be compiled.
    let features = ["--no-default-features", "--features", "chat"];
    let mut chat = Command::cargo(&["run", "--release", "--package", "socketio-examples", "--bin", "chat"])
        .args(&features)
        .env("PORT", port.to_string());
    match fetch_client() {
        Ok(()) => {
            chat = chat.env("CLIENT_DIR", root().join(FOLDER).join("node_modules/socket.io-client/dist"))
        }
        Err(why) => println!(
            "{why}\nThe demo works without: the page loads the browser client from a public CDN and checks its hash."
        ),
    }
    println!("Building the chat in release mode …");
    let mut child = chat.spawn()?;
    if wait_until_open(&mut child, port)? {
        println!(
            "\n  The chat is at http://localhost:{port}/\n  Open it in two windows and talk. Ctrl-C ends it.\n"
        );
    }
    Ok(if child.wait()?.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Installs the official browser client.
fn fetch_client() -> Result<(), String> {
    let npm = tools::npm().map_err(|missing| missing.to_string())?;
    match tools::npm_ci(&npm, FOLDER) {
        Some(install) => {
            println!("Fetching the official browser client: {install}");
            install.output().map(drop)
        }
        None => Ok(()),
    }
}

/// Whether the chat came up; it may take minutes to build, and may fail to.
fn wait_until_open(child: &mut Child, port: u16) -> io::Result<bool> {
    while child.try_wait()?.is_none() {
        if is_open(port) {
            return Ok(true);
        }
        sleep(Duration::from_millis(100));
    }
    Ok(false)
}

fn is_open(port: u16) -> bool {
    TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()
}

//! Makes captured frames and payloads of a Socket.IO connection readable.

use std::env;
use std::fs;
use std::io::{self, BufRead, Write};
use std::process::ExitCode;

use socketio_core::engine::Revision;
use socketio_core::socket::Codec;
use socketio_examples::inspect::{Transcript, har};

const USAGE: &str = "\
Usage: inspect [--v3] [--msgpack] [--file FILE | --har FILE | CAPTURE…]

Prints captured frames and polling payloads of a Socket.IO connection, one packet per line. Without FILE and CAPTURE it
reads stdin, a capture per line.

  CAPTURE       what was sent, as it was sent: 42[\"hello\",1]
                in front of it > for the client or < for the server, if that is known
                hex:0102… or base64:… for binary, \\x1e for the separator of payloads; # begins a comment
  --file FILE   captures from a file, one per line
  --har FILE    what a browser's network panel saves: polling and websocket messages
  --v3          a client older than 3.0 (EIO=3 in its requests); in a HAR file this is found out
  --msgpack     socket.io-msgpack-parser instead of the default parser

Example: inspect '> 40/chat,' '< 40/chat,{\"sid\":\"x\"}' '> 451-/chat,[\"up\",{\"_placeholder\":true,\"num\":0}]' '> hex:0102'

Exits with 1 if something could not be read.";

fn main() -> ExitCode {
    match run(env::args().skip(1).collect()) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::from(1),
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

/// Where captures come from.
enum Source {
    Lines(Vec<String>),
    File(String),
    Har(String),
    Stdin,
}

fn run(args: Vec<String>) -> Result<usize, String> {
    let (mut revision, mut codec, mut source) = (Revision::V4, Codec::Text, Source::Stdin);
    let mut args = args.into_iter();
    while let Some(arg) = args.next() {
        let mut file = || args.next().ok_or(format!("{arg} needs the name of a file; see --help"));
        let named = match arg.as_str() {
            "--help" | "-h" => {
                println!("{USAGE}");
                return Ok(0);
            }
            "--v3" => {
                revision = Revision::V3;
                continue;
            }
            "--msgpack" => {
                codec = Codec::Msgpack;
                continue;
            }
            "--file" => Source::File(file()?),
            "--har" => Source::Har(file()?),
            // No packet begins with a dash.
            unknown if unknown.starts_with('-') => {
                return Err(format!("unknown option {unknown}; see --help"));
            }
            _ => match std::mem::replace(&mut source, Source::Stdin) {
                Source::Lines(mut lines) => {
                    lines.push(arg);
                    Source::Lines(lines)
                }
                Source::Stdin => Source::Lines(vec![arg]),
                Source::File(_) | Source::Har(_) => return Err(BOTH.to_owned()),
            },
        };
        if !matches!((&source, &named), (Source::Stdin, _)) {
            return Err(BOTH.to_owned());
        }
        source = named;
    }
    let mut transcript = Transcript::new(revision, codec);
    match source {
        Source::Lines(lines) => lines.iter().for_each(|line| transcript.add_line(line)),
        Source::File(name) => read(&name)?.lines().for_each(|line| transcript.add_line(line)),
        Source::Har(name) => {
            har::add(&read(&name)?, &mut transcript).map_err(|error| format!("{name}: {error}"))?
        }
        Source::Stdin => {
            for line in io::stdin().lock().lines() {
                transcript.add_line(&line.map_err(|error| format!("cannot read stdin: {error}"))?);
                if !print(&transcript.take_text()) {
                    return Ok(0);
                }
            }
        }
    }
    transcript.finish();
    print(&transcript.take_text());
    Ok(transcript.errors())
}

fn read(name: &str) -> Result<String, String> {
    fs::read_to_string(name).map_err(|error| format!("cannot read {name}: {error}"))
}

/// Returns whether somebody still reads.
fn print(text: &str) -> bool {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).is_ok()
}

const BOTH: &str = "captures come from one place: arguments, --file, --har or stdin; see --help";

//! Replays the transcripts in logs: `cargo run -p socketio-tests --bin replay -- server.log …` (a directory stands for
//! the files in it). Says whether the core does today what it did then, and if not, at which line it begins to differ.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs, io};

use socketio_tests::replay::replay;

fn main() -> ExitCode {
    let paths: Vec<_> = env::args_os().skip(1).map(PathBuf::from).collect();
    if paths.is_empty() {
        eprintln!("usage: replay <log or directory of logs>…");
        return ExitCode::from(2);
    }
    let (mut replayed, mut failed) = (0, 0);
    for path in paths {
        let files = match files(&path) {
            Ok(files) => files,
            Err(error) => {
                eprintln!("{}: {error}", path.display());
                return ExitCode::from(2);
            }
        };
        for file in files {
            match check(&file) {
                Ok(clients) => replayed += clients,
                Err(error) => {
                    failed += 1;
                    println!("{}: {error}", file.display());
                }
            }
        }
    }
    println!("{replayed} clients replayed, {failed} logs failed");
    if failed == 0 && replayed > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn check(file: &Path) -> Result<usize, String> {
    let log = fs::read(file).map_err(|error| error.to_string())?;
    // A log may hold what somebody else wrote.
    let replayed = replay(&String::from_utf8_lossy(&log)).map_err(|failure| failure.to_string())?;
    Ok(replayed.clients + replayed.connections)
}

fn files(path: &Path) -> io::Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = fs::read_dir(path)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    files.sort();
    Ok(files)
}

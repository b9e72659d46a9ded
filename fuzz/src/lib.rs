//! What must hold of the core for any bytes at all, as plain functions of bytes.
//!
//! `cargo test -p socketio-fuzz` calls them with the committed seeds (`seeds/<target>/`) and with some thousand mutations
//! of each, on a stable compiler and in seconds; `FUZZ_ROUNDS=100000` makes it longer. To search for hours:
//!
//! ```text
//! cargo +nightly fuzz run --features libfuzzer session fuzz/corpus/session fuzz/seeds/session
//! ```
//!
//! A target never looks at *which* error comes out: the unit tests do. It asserts what no input may break: no panic, what
//! was read can be written and read again, errors are final, sizes stay within their limits.

mod any;
mod cluster;
mod deflate;
mod engine;
mod http;
mod peer;
mod script;
mod session;
mod socket;

pub use cluster::cluster;
pub use deflate::deflate;
pub use engine::{engine_packet, payload_v3_binary, payload_v3_text, payload_v4, webtransport};
pub use http::http_route;
pub use peer::peer;
pub use session::session;
pub use socket::{socket_msgpack, socket_text};

/// The body of a target.
pub type Target = fn(&[u8]);

/// Every target, by the name of its folder in `seeds/` and of its file in `fuzz_targets/`.
pub const TARGETS: &[(&str, Target)] = &[
    ("cluster", cluster),
    ("deflate", deflate),
    ("engine_packet", engine_packet),
    ("http_route", http_route),
    ("payload_v3_binary", payload_v3_binary),
    ("payload_v3_text", payload_v3_text),
    ("payload_v4", payload_v4),
    ("peer", peer),
    ("session", session),
    ("socket_msgpack", socket_msgpack),
    ("socket_text", socket_text),
    ("webtransport", webtransport),
];

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    #[test]
    fn what_must_hold_holds_for_the_seeds_and_their_mutations() {
        let rounds = std::env::var("FUZZ_ROUNDS")
            .map_or(500, |rounds| rounds.parse().expect("FUZZ_ROUNDS is a number"));
        for (name, target) in TARGETS {
            let seeds = seeds(name);
            assert!(!seeds.is_empty(), "{name} has no seeds");
            let mut random = Random(0x9E37_79B9_7F4A_7C15);
            for seed in &seeds {
                run(name, *target, seed);
                for _ in 0..rounds {
                    run(name, *target, &mutation(seed, &seeds, &mut random));
                }
            }
        }
    }

    #[test]
    fn no_input_at_all_is_an_input() {
        TARGETS.iter().for_each(|(name, target)| run(name, *target, b""));
    }

    #[test]
    fn every_target_has_a_file() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
        let manifest = fs::read_to_string(folder.join("Cargo.toml")).unwrap();
        for (name, _) in TARGETS {
            let file = fs::read_to_string(folder.join(format!("fuzz_targets/{name}.rs"))).unwrap();
            assert!(file.contains(&format!("socketio_fuzz::{name}(data)")), "{name}");
            assert!(manifest.contains(&format!("name = \"{name}\"")), "{name}");
        }
        assert_eq!(fs::read_dir(folder.join("fuzz_targets")).unwrap().count(), TARGETS.len());
    }

    /// Runs a target; if that panics, says with which bytes.
    fn run(name: &str, target: Target, data: &[u8]) {
        struct Culprit<'a>(&'a str, &'a [u8]);
        impl Drop for Culprit<'_> {
            fn drop(&mut self) {
                if std::thread::panicking() {
                    eprintln!("{} fails with b\"{}\"", self.0, self.1.escape_ascii());
                }
            }
        }
        let _culprit = Culprit(name, data);
        target(data);
    }

    /// The seeds of a target, in the order of their names.
    fn seeds(target: &str) -> Vec<Vec<u8>> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(target);
        let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files.iter().map(|file| fs::read(file).unwrap()).collect()
    }

    /// `seed` with one to four changes.
    fn mutation(seed: &[u8], seeds: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
        let mut data = seed.to_vec();
        for _ in 0..=random.below(4) {
            let at = random.below(data.len() + 1);
            let end = at + random.below((data.len() - at).min(16) + 1);
            match random.below(6) {
                0 => data.truncate(at),
                1 => drop(data.drain(at..end)),
                2 => data.insert(at, INTERESTING[random.below(INTERESTING.len())]),
                3 => data.insert(at, random.below(256) as u8),
                4 => {
                    let repeated = data[at..end].to_vec();
                    data.splice(at..at, repeated);
                }
                _ => {
                    let other = &seeds[random.below(seeds.len())];
                    data.truncate(at);
                    data.extend_from_slice(&other[random.below(other.len() + 1)..]);
                }
            }
        }
        data
    }

    /// Bytes that mean something to some format.
    const INTERESTING: &[u8] = b"\x00\x01\x04\x1e\x7e\x7f\x80\xfe\xff0123456789-,:/[]{}\"\\\n?&=%b";

    /// xorshift64*: the same mutations on every machine.
    struct Random(u64);

    impl Random {
        /// A number below `limit`, which is not 0.
        fn below(&mut self, limit: usize) -> usize {
            self.0 ^= self.0 >> 12;
            self.0 ^= self.0 << 25;
            self.0 ^= self.0 >> 27;
            (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % limit
        }
    }
}

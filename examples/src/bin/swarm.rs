//! Many clients at once: how long does a server take to answer when a thousand ask?
//!
//! ```text
//! cargo run --release -p socketio-examples --bin swarm -- --clients 1000
//! ```

use std::error::Error;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hdrhistogram::Histogram;
use indicatif::{ProgressBar, ProgressStyle};
use socketio_tokio::{Ack, AckError, Client, ClientBuilder, Server, ServerBuilder, Socket, Transport};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep, timeout};

const USAGE: &str = "\
Usage: swarm [OPTION…]

Connects many clients to a Socket.IO server. Each emits an event at a steady rate and waits for its acknowledgement;
the latencies are printed at the end. The time counts from when an event was due, so a server that stalls cannot
hide it by slowing the clients down.

  --clients N        how many; 100 unless given
  --url URL          the server, which must acknowledge the event; a server in this process unless given
  --event NAME       the event; `echo` unless given, with a text as its argument
  --rate R           events of each client per second; 1 unless given
  --size BYTES       length of the text; 64 unless given
  --seconds S        how long; 10 unless given
  --transport T      polling, websocket or upgrade (polling first, then a websocket); websocket unless given
  --connecting N     how many may be connecting at the same time; 50 unless given";

#[derive(Clone, Debug)]
struct Options {
    clients: u64,
    url: Option<String>,
    event: String,
    rate: f64,
    size: usize,
    seconds: f64,
    transports: Vec<Transport>,
    connecting: usize,
}

#[tokio::main]
async fn main() -> ExitCode {
    match options() {
        Ok(None) => {
            println!("{USAGE}");
            ExitCode::SUCCESS
        }
        Ok(Some(options)) => match run(options).await {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => ExitCode::FAILURE,
            Err(error) => failed(&error),
        },
        Err(error) => failed(&format!("{error}; see --help")),
    }
}

fn failed(error: &str) -> ExitCode {
    eprintln!("error: {error}");
    ExitCode::from(2)
}

fn options() -> Result<Option<Options>, String> {
    let mut args = pico_args::Arguments::from_env();
    if args.contains(["-h", "--help"]) {
        return Ok(None);
    }
    let text = |error: pico_args::Error| error.to_string();
    let transport: Option<String> = args.opt_value_from_str("--transport").map_err(text)?;
    let options = Options {
        clients: args.opt_value_from_str("--clients").map_err(text)?.unwrap_or(100),
        url: args.opt_value_from_str("--url").map_err(text)?,
        event: args.opt_value_from_str("--event").map_err(text)?.unwrap_or_else(|| "echo".into()),
        rate: args.opt_value_from_str("--rate").map_err(text)?.unwrap_or(1.0),
        size: args.opt_value_from_str("--size").map_err(text)?.unwrap_or(64),
        seconds: args.opt_value_from_str("--seconds").map_err(text)?.unwrap_or(10.0),
        transports: match transport.as_deref() {
            None | Some("websocket") => vec![Transport::Websocket],
            Some("polling") => vec![Transport::Polling],
            Some("upgrade") => vec![Transport::Polling, Transport::Websocket],
            Some(other) => return Err(format!("--transport {other}: not polling, websocket or upgrade")),
        },
        connecting: args.opt_value_from_str("--connecting").map_err(text)?.unwrap_or(50),
    };
    let rest = args.finish();
    if !rest.is_empty() {
        return Err(format!("unknown arguments {rest:?}"));
    }
    for (name, is_right) in [
        ("--clients", options.clients > 0),
        ("--rate", options.rate > 0.0 && options.rate <= 1e6),
        ("--seconds", options.seconds > 0.0 && options.seconds <= 1e6),
        ("--connecting", options.connecting > 0),
    ] {
        if !is_right {
            return Err(format!("{name} must be more than nothing, and a million is enough"));
        }
    }
    Ok(Some(options))
}

/// What is counted while it runs.
struct Tally {
    answered: AtomicU64,
    lost: AtomicU64,
    /// In microseconds.
    latencies: Mutex<Histogram<u64>>,
}

/// Returns whether everything was answered.
async fn run(mut options: Options) -> Result<bool, String> {
    // A connection is a file descriptor, two where the server is in here; the usual limit of 1,024 is a soft one.
    let allowed = rlimit::increase_nofile_limit(u64::MAX).unwrap_or(1024);
    let each = if options.url.is_some() { 2 } else { 4 };
    if options.clients.saturating_mul(each) + 50 > allowed {
        return Err(format!(
            "{} clients may need {} file descriptors, and {allowed} are allowed; raise the limit (ulimit -n) or lower --clients",
            options.clients,
            options.clients.saturating_mul(each) + 50
        ));
    }
    let mut server = None;
    if options.url.is_none() {
        let (io, url) = serve(&options.event).await.map_err(|error| error.to_string())?;
        server = Some(io);
        options.url = Some(url);
    }
    let start = Instant::now();
    let clients = connect(&options).await?;
    let connected = clients.len();
    println!("{connected} clients connected in {:.2?}", start.elapsed());

    let tally = Arc::new(Tally {
        answered: AtomicU64::new(0),
        lost: AtomicU64::new(0),
        latencies: Mutex::new(Histogram::new(3).map_err(|error| error.to_string())?),
    });
    let start = Instant::now();
    load(&options, clients, &tally).await;
    report(&options, connected, start.elapsed(), &tally);
    if let Some(io) = server {
        io.shutdown(Duration::from_secs(5)).await;
    }
    Ok(tally.lost.load(Ordering::Relaxed) == 0 && connected as u64 == options.clients)
}

/// A server that acknowledges what it gets with the same.
async fn serve(event: &str) -> std::io::Result<(Server, String)> {
    let io = ServerBuilder::new().build();
    io.on(event, |_: Socket, text: String| async move { Ack(text) });
    let at = io.listen("127.0.0.1:0").await?;
    Ok((io, format!("http://{at}")))
}

async fn connect(options: &Options) -> Result<Vec<Client>, String> {
    let bar =
        ProgressBar::new(options.clients).with_style(style("connecting {bar:40} {pos}/{len} {elapsed}"));
    let turns = Arc::new(Semaphore::new(options.connecting));
    let mut connecting = JoinSet::new();
    for _ in 0..options.clients {
        let url = options.url.clone().unwrap_or_default();
        let client = ClientBuilder::new(url)
            .transports(options.transports.clone())
            .build()
            .map_err(|error| error.to_string())?;
        let (turns, bar) = (turns.clone(), bar.clone());
        connecting.spawn(async move {
            let _turn = turns.acquire().await;
            client.connect();
            let connected = client.connected().await.map_err(|error| with_causes(&error));
            bar.inc(1);
            connected.map(|()| client)
        });
    }
    let (mut clients, mut errors) = (Vec::new(), Vec::new());
    while let Some(ended) = connecting.join_next().await {
        match ended.map_err(|error| error.to_string())? {
            Ok(client) => clients.push(client),
            Err(error) => errors.push(error),
        }
    }
    bar.finish_and_clear();
    if let Some(error) = errors.first() {
        eprintln!(
            "{} of {} clients could not connect, the first because: {error}",
            errors.len(),
            options.clients
        );
    }
    if clients.is_empty() { Err("nobody is connected".into()) } else { Ok(clients) }
}

async fn load(options: &Options, clients: Vec<Client>, tally: &Arc<Tally>) {
    let bar =
        ProgressBar::new(options.seconds.ceil() as u64).with_style(style("{bar:40} {pos}/{len} s  {msg}"));
    let period = Duration::from_secs_f64(1.0 / options.rate);
    let start = Instant::now();
    let end = start + Duration::from_secs_f64(options.seconds);
    let (count, text) = (clients.len() as u32, Arc::<str>::from("x".repeat(options.size)));
    let mut running = JoinSet::new();
    for (index, client) in (0..).zip(clients) {
        // Spread over the period, so that they do not all speak at the same moment.
        let first = start + period * index / count;
        let (event, text, tally) = (options.event.clone(), text.clone(), tally.clone());
        running.spawn(async move {
            ask(&client, &event, &text, first, period, end, &tally).await;
            // In its time: a server that is gone cannot be said goodbye to.
            drop(timeout(Duration::from_secs(5), client.shutdown()).await);
        });
    }
    let mut before = 0;
    while Instant::now() < end {
        sleep(Duration::from_millis(500).min(end.duration_since(Instant::now()))).await;
        let answered = tally.answered.load(Ordering::Relaxed);
        let latencies = tally.latencies.lock().unwrap_or_else(PoisonError::into_inner);
        bar.set_position(start.elapsed().as_secs());
        bar.set_message(format!(
            "{:>8} answers/s  median {}  99 % {}",
            (answered - before) * 2,
            time(latencies.value_at_quantile(0.5)),
            time(latencies.value_at_quantile(0.99)),
        ));
        before = answered;
    }
    while running.join_next().await.is_some() {}
    bar.finish_and_clear();
}

/// One client's life.
async fn ask(
    client: &Client,
    event: &str,
    text: &str,
    first: Instant,
    period: Duration,
    end: Instant,
    tally: &Tally,
) {
    let mut ticks = interval_at(first, period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut free = first;
    loop {
        let due = ticks.tick().await;
        if due >= end {
            return;
        }
        // Late because the last answer was; that the timer is a little late too is not the server's fault.
        let start = if free > due { due } else { Instant::now() };
        let asked = client.timeout(PATIENCE).emit_with_ack::<socketio_tokio::Args, _>(event, text);
        match asked.await {
            Ok(_) => {
                let latency = u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX);
                tally.latencies.lock().unwrap_or_else(PoisonError::into_inner).saturating_record(latency);
                tally.answered.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) => {
                if tally.lost.fetch_add(1, Ordering::Relaxed) == 0 {
                    eprintln!("{}", lost(event, &error));
                }
            }
        }
        free = Instant::now();
    }
}

fn with_causes(error: &dyn Error) -> String {
    error.source().map_or_else(|| error.to_string(), |source| format!("{error}: {}", with_causes(source)))
}

fn lost(event: &str, error: &AckError) -> String {
    match error {
        AckError::TimedOut => {
            format!("no answer to {event} for {PATIENCE:?}; does the server acknowledge it? (--event)")
        }
        error => format!("{event} was lost: {error}"),
    }
}

fn report(options: &Options, clients: usize, elapsed: Duration, tally: &Tally) {
    let answered = tally.answered.load(Ordering::Relaxed);
    let latencies = tally.latencies.lock().unwrap_or_else(PoisonError::into_inner);
    println!(
        "{answered} of {} events answered in {:.1} s: {:.0} a second, {clients} clients",
        answered + tally.lost.load(Ordering::Relaxed),
        elapsed.as_secs_f64(),
        answered as f64 / options.seconds.min(elapsed.as_secs_f64()),
    );
    if answered > 0 {
        for (name, quantile) in [("median", 0.5), ("90 %", 0.9), ("99 %", 0.99), ("99.9 %", 0.999)] {
            println!("  {name:>7}  {:>10}", time(latencies.value_at_quantile(quantile)));
        }
        println!("  {:>7}  {:>10}", "longest", time(latencies.max()));
    }
}

fn time(micros: u64) -> String {
    format!("{:.2} ms", micros as f64 / 1000.0)
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

//! The fixture server of `tests/interop/FIXTURE.md`, on our packages: what the official clients are let loose on.

use std::env;
use std::fs::File;
use std::io::{BufRead, Write};
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;
use serde_json::json;
use socketio_async_std::AsyncStd;
use socketio_driver::runtime::Runtime;
use socketio_driver::{
    Ack, AckSender, BroadcastOperator, Codec, ConnectError, Cookie, Cors, Namespace, Origin,
    PerMessageDeflate, RecoveryConfig, SameSite, Server, ServerBuilder, Socket, Transports, Value, Variadic,
    WindowBits,
};
use socketio_tests::logs;
use socketio_tokio::Tokio;

fn main() {
    keep_transcripts();
    match env::var("RUNTIME").as_deref() {
        Ok("async-std") => async_std::task::block_on(serve::<AsyncStd>()),
        Ok("tokio") | Err(_) => {
            let tokio = tokio::runtime::Runtime::new().expect("threads and file descriptors");
            tokio.block_on(serve::<Tokio>());
        }
        Ok(other) => panic!("RUNTIME={other}: there are tokio and async-std"),
    }
}

async fn serve<R: Runtime + Default>() {
    let io = builder::<R>().build();
    namespaces::<R>(&io);
    let port: u16 = number("PORT").unwrap_or(0);
    let address = match io.listen(("127.0.0.1", port)).await {
        Ok(address) => address,
        Err(error) => {
            eprintln!("{error}");
            std::process::exit(1);
        }
    };
    print(format_args!("ready {}", address.port()));
    std::thread::spawn(move || obey(&io));
    std::future::pending::<()>().await;
}

/// With a directory in `TRANSCRIPTS` every client of this process is written down there.
fn keep_transcripts() {
    if let Some(directory) = env::var_os("TRANSCRIPTS") {
        let file = Path::new(&directory).join(format!("{}.jsonl", std::process::id()));
        logs::write_transcripts(File::create(file).expect("a directory to write to"));
    }
}

fn builder<R: Runtime + Default>() -> ServerBuilder<R> {
    let mut builder = ServerBuilder::new();
    let millis = |name| number(name).map(Duration::from_millis);
    if let Some(interval) = millis("PING_INTERVAL") {
        builder = builder.ping_interval(interval);
    }
    if let Some(timeout) = millis("PING_TIMEOUT") {
        builder = builder.ping_timeout(timeout);
    }
    if let Some(timeout) = millis("CONNECT_TIMEOUT") {
        builder = builder.connect_timeout(timeout);
    }
    if let Some(timeout) = millis("UPGRADE_TIMEOUT") {
        builder = builder.upgrade_timeout(timeout);
    }
    if let Some(bytes) = number("MAX_HTTP_BUFFER_SIZE") {
        builder = builder.max_http_buffer_size(bytes);
    }
    if let Ok(names) = env::var("TRANSPORTS") {
        let has = |name| names.split(',').any(|listed| listed == name);
        let transports =
            Transports { polling: has("polling"), websocket: has("websocket"), webtransport: false };
        builder = builder.transports(transports);
    }
    if env::var("PARSER").is_ok_and(|parser| parser == "msgpack") {
        builder = builder.parser(Codec::Msgpack);
    }
    if let Ok(dir) = env::var("SERVE_CLIENT") {
        builder = builder.serve_client(dir).expect("a directory of client bundles");
    }
    if let Some(allow) = number("ALLOW_UPGRADES") {
        builder = builder.allow_upgrades(allow);
    }
    if let Some(max_disconnection_duration) = millis("RECOVERY") {
        let config = RecoveryConfig { max_disconnection_duration, ..RecoveryConfig::default() };
        builder = builder.connection_state_recovery(config);
    }
    if let Some(cors) = cors() {
        builder = builder.cors(cors);
    }
    if let Some(deflate) = deflate() {
        builder = builder.per_message_deflate(deflate);
    }
    if let Some(cookie) = cookie() {
        builder = builder.cookie(cookie);
    }
    builder = builder.on_connection_error(|error| {
        let (code, message, name) = (error.code(), error.message(), error.name());
        let mut described = json!({ "code": code, "message": message });
        if let Some(name) = name {
            described["name"] = name.into();
        }
        print(json!({ "connection_error": described }));
    });
    if let Some(cleanup) = number("CLEANUP_EMPTY_CHILD_NAMESPACES") {
        builder = builder.cleanup_empty_child_namespaces(cleanup);
    }
    if let Some(allow) = number("ALLOW_EIO3") {
        builder = builder.allow_eio3(allow);
    }
    builder
}

fn cors() -> Option<Cors> {
    let origin = match serde_json::from_str(&env::var("CORS_ORIGIN").ok()?).ok()? {
        serde_json::Value::Bool(true) => Origin::Mirror,
        serde_json::Value::String(origin) if origin == "*" => Origin::Any,
        serde_json::Value::String(origin) => Origin::Exact(origin),
        origins => Origin::List(serde_json::from_value(origins).ok()?),
    };
    let credentials = number("CORS_CREDENTIALS").unwrap_or(false);
    Some(Cors::new(origin).ok()?.credentials(credentials))
}

/// With the defaults of the reference, which keeps windows.
fn deflate() -> Option<PerMessageDeflate> {
    #[derive(Default, Deserialize)]
    #[serde(rename_all = "camelCase", default)]
    struct Options {
        threshold: Option<usize>,
        server_no_context_takeover: bool,
        client_no_context_takeover: bool,
        server_max_window_bits: Option<u8>,
        client_max_window_bits: Option<u8>,
    }
    let options: Options = serde_json::from_str(&env::var("PER_MESSAGE_DEFLATE").ok()?).unwrap_or_default();
    let bits = |bits| match bits {
        9 => WindowBits::Nine,
        10 => WindowBits::Ten,
        other => panic!("PER_MESSAGE_DEFLATE: a window of {other} bits is not in any suite"),
    };
    let default = PerMessageDeflate::default();
    Some(PerMessageDeflate {
        threshold: options.threshold.unwrap_or(default.threshold),
        server_no_context_takeover: options.server_no_context_takeover,
        client_no_context_takeover: options.client_no_context_takeover,
        server_max_window_bits: options.server_max_window_bits.map(bits),
        client_max_window_bits: options.client_max_window_bits.map(bits),
        ..default
    })
}

fn cookie() -> Option<Cookie> {
    #[derive(Default, Deserialize)]
    #[serde(rename_all = "camelCase", default)]
    struct Options {
        name: Option<String>,
        path: Option<serde_json::Value>,
        http_only: Option<bool>,
        same_site: Option<serde_json::Value>,
        domain: Option<String>,
        max_age: Option<u64>,
        secure: Option<bool>,
    }
    let text = env::var("COOKIE").ok()?;
    let Options { name, path, http_only, same_site, domain, max_age, secure } =
        serde_json::from_str(&text).unwrap_or_default();
    let mut cookie = Cookie::default();
    if let Some(name) = name {
        cookie = cookie.name(&name).ok()?;
    }
    if let Some(path) = path {
        cookie = cookie.path(path.as_str()).ok()?;
    }
    if let Some(http_only) = http_only {
        cookie = cookie.http_only(http_only);
    }
    if let Some(same_site) = same_site {
        cookie = cookie.same_site(match same_site.as_str().map(str::to_lowercase).as_deref() {
            Some("strict") => Some(SameSite::Strict),
            Some("lax") => Some(SameSite::Lax),
            Some("none") => Some(SameSite::None),
            _ => None,
        });
    }
    if let Some(domain) = domain {
        cookie = cookie.domain(&domain).ok()?;
    }
    if let Some(seconds) = max_age {
        cookie = cookie.max_age(Duration::from_secs(seconds));
    }
    Some(cookie.secure(secure.unwrap_or(false)))
}

fn number<T: std::str::FromStr>(name: &str) -> Option<T> {
    env::var(name).ok()?.parse().ok()
}

fn print(line: impl std::fmt::Display) {
    let mut stdout = std::io::stdout().lock();
    // A parent that does not listen any more has no use for the rest either.
    if writeln!(stdout, "{line}").and_then(|()| stdout.flush()).is_err() {
        std::process::exit(0);
    }
}

/// Carries out the commands on stdin, until it ends.
fn obey(io: &Server) {
    for line in std::io::stdin().lock().lines().map_while(Result::ok) {
        match line.as_str() {
            "stats" => {
                let namespaces = io.namespaces();
                let sockets: usize = namespaces.iter().map(Namespace::sockets_count).sum();
                let rooms: usize = namespaces.iter().map(|nsp| nsp.rooms().len()).sum();
                let stats =
                    json!({ "engines": io.clients_count(), "sockets": sockets, "rooms": sockets + rooms });
                print(json!({ "stats": stats }));
            }
            "close" => {
                io.close();
                while io.clients_count() > 0 {
                    std::thread::yield_now();
                }
                print(json!({ "closed": true }));
            }
            _ => {}
        }
    }
    std::process::exit(0);
}

fn namespaces<R: Runtime + Default>(io: &Server) {
    let all = ["/", "/custom", "/quiet", "/auth", "/slow", "/early", "/checked"].map(|name| io.of(name));
    for nsp in &all {
        common(nsp);
    }
    for nsp in &all[..2] {
        nsp.on_connection(|socket| async move {
            let auth: Value = socket.handshake().auth().unwrap_or_default();
            let _ = socket.emit("auth", auth);
        });
    }
    io.of("/auth").use_middleware(|socket| async move {
        #[derive(Deserialize)]
        struct Auth {
            token: String,
        }
        match socket.handshake().auth::<Auth>() {
            Ok(Auth { token }) if token == "secret" => {
                let _ = socket.set_data(json!({ "user": "alice" }));
                Ok(())
            }
            Ok(Auth { token }) if token == "plain" => Err(ConnectError::new("plain refusal")),
            _ => {
                let data = json!({ "code": 401, "hint": "bring a token" });
                Err(ConnectError::new("not authorized").with_data(data))
            }
        }
    });
    let checked = io.of("/checked");
    checked.use_middleware(|socket| async move {
        socket.use_middleware(|_, event| async move {
            if event.name() == "forbidden" { Err("forbidden event".into()) } else { Ok(()) }
        });
        Ok(())
    });
    checked.on_connection(|socket| async move {
        socket.on_any(|socket, event| async move {
            let _ = socket.emit("seen", event.name());
        });
        socket.on_error(|socket, error| async move {
            let _ = socket.emit("failed", error.to_string());
        });
        socket.on("forbidden", |socket: Socket, ()| async move {
            let _ = socket.emit("handled", ());
        });
    });
    io.on_new_namespace(|nsp| {
        if nsp.name().starts_with("/dynamic-") {
            common(nsp);
        }
    });
    io.of_matching(|name| {
        let digits = name.strip_prefix("/dynamic-").unwrap_or_default();
        !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
    });
    io.of("/slow").use_middleware(|_| async {
        let runtime = R::default();
        runtime.timer(runtime.now() + Duration::from_millis(200)).await;
        Ok(())
    });
    io.of("/early").use_middleware(|socket| async move {
        let _ = socket.emit("early", "before CONNECT");
        Ok(())
    });
}

/// Any arguments.
type Args = Variadic<Value>;

/// Whom a test wants to reach.
#[derive(Deserialize)]
struct Target {
    from: String,
    #[serde(default)]
    to: Vec<String>,
    #[serde(default)]
    except: Vec<String>,
    #[serde(default)]
    volatile: bool,
    timeout: Option<u64>,
}

impl Target {
    fn operator(self, socket: &Socket) -> BroadcastOperator {
        let mut operator = match self.from.as_str() {
            "socket" => socket.broadcast(),
            _ => socket.namespace().everyone(),
        };
        operator = operator.to(self.to).except(self.except);
        if self.volatile {
            operator = operator.volatile();
        }
        if let Some(millis) = self.timeout {
            operator = operator.timeout(Duration::from_millis(millis));
        }
        operator
    }
}

fn sorted_rooms(socket: &Socket) -> Vec<String> {
    let mut rooms: Vec<String> = socket.rooms().iter().map(|room| room.to_string()).collect();
    rooms.sort();
    rooms
}

fn common(nsp: &Namespace) {
    nsp.on_disconnect(|socket, reason| async move {
        let (nsp, id) = (socket.namespace().name(), socket.id().as_str());
        print(json!({ "disconnect": { "nsp": nsp, "id": id, "reason": reason.to_string() } }));
    });
    nsp.on("message", |socket: Socket, args: Args| async move {
        let _ = socket.emit("message-back", args);
    });
    nsp.on("message-uncompressed", |socket: Socket, args: Args| async move {
        let _ = socket.compress(false).emit("message-back", args);
    });
    nsp.on("message-volatile", |socket: Socket, args: Args| async move {
        let _ = socket.volatile().emit("message-back", args);
    });
    nsp.on("message-with-ack", |_, args: Args| async move { Ack(args) });
    nsp.on("burst", |socket: Socket, (count, binary_every): (u32, Option<u32>)| async move {
        for i in 0..count {
            let _ = match binary_every {
                Some(every) if every > 0 && i % every == 0 => {
                    socket.emit("burst", (i, socketio_driver::Bytes::from(vec![i as u8])))
                }
                _ => socket.emit("burst", i),
            };
        }
    });
    nsp.on("ask", |socket: Socket, Variadic(mut args): Args| async move {
        let timeout = take_timeout(&mut args);
        let answer = socket.timeout(timeout).emit_with_ack::<Args, _>("question", Variadic(args)).await;
        let _ = match answer {
            Ok(Variadic(answers)) => socket.emit("answered", Variadic([vec![Value::Null], answers].concat())),
            Err(error) => socket.emit("answered", error.to_string()),
        };
    });
    nsp.on("ask-promise", |socket: Socket, Variadic(mut args): Args| async move {
        let timeout = take_timeout(&mut args);
        let answer = socket.timeout(timeout).emit_with_ack::<Value, _>("question", Variadic(args)).await;
        if let Ok(answer) = answer {
            let _ = socket.emit("answered", (Value::Null, answer));
        }
    });
    rooms(nsp);
    nsp.on("whoami", |socket: Socket, ()| async move { Ack(whoami(&socket)) });
    nsp.on("disconnect-me", |socket: Socket, close: Option<bool>| async move {
        if close == Some(true) {
            socket.disconnect_all();
        } else {
            socket.disconnect();
        }
    });
}

fn rooms(nsp: &Namespace) {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum OneOrMore {
        One(String),
        More(Vec<String>),
    }
    nsp.on("join", |socket: Socket, rooms: OneOrMore| async move {
        match rooms {
            OneOrMore::One(room) => socket.join(room),
            OneOrMore::More(rooms) => socket.join(rooms),
        }
        Ack(sorted_rooms(&socket))
    });
    nsp.on("leave", |socket: Socket, room: String| async move {
        socket.leave(room);
        Ack(sorted_rooms(&socket))
    });
    nsp.on("send-to", |socket: Socket, (target, args): (Target, Vec<Value>)| async move {
        let _ = target.operator(&socket).emit("news", Variadic(args));
        Ack(())
    });
    nsp.on_with_ack(
        "ask-all",
        |socket: Socket, (target, args): (Target, Vec<Value>), ack: AckSender| async move {
            let asked = target.operator(&socket).emit_with_ack::<Value, _>("question", Variadic(args));
            let Ok(asked) = asked else { return };
            let _ = match asked.await {
                Ok(answers) => ack.send((Value::Null, answers)),
                Err(partial) => ack.send((partial.to_string(), partial.responses)),
            };
        },
    );
    nsp.on("sockets-join", |socket: Socket, (target, room): (Target, String)| async move {
        target.operator(&socket).sockets_join(room);
        Ack(())
    });
    nsp.on("fetch", |socket: Socket, target: Target| async move {
        let describe = |socket: &Socket| {
            let data = socket.data::<serde_json::Value>().unwrap_or_default();
            json!({ "id": socket.id().as_str(), "rooms": sorted_rooms(socket), "data": data })
        };
        Ack(target.operator(&socket).sockets().iter().map(describe).collect::<Vec<_>>())
    });
    nsp.on("disconnect-sockets", |socket: Socket, (target, close): (Target, Option<bool>)| async move {
        let operator = target.operator(&socket);
        if close == Some(true) {
            operator.disconnect_sockets_all();
        } else {
            operator.disconnect_sockets();
        }
    });
    nsp.on("set-data", |socket: Socket, data: serde_json::Value| async move {
        let _ = socket.set_data(data);
        Ack(())
    });
    nsp.on("sockets-leave", |socket: Socket, (target, room): (Target, String)| async move {
        target.operator(&socket).sockets_leave(room);
        Ack(())
    });
}

fn take_timeout(args: &mut Vec<Value>) -> Duration {
    let millis = match args.is_empty() {
        true => Value::Null,
        false => args.remove(0),
    };
    match millis {
        Value::Number(millis) => Duration::from_millis(millis.as_u64().unwrap_or_default()),
        _ => Duration::ZERO,
    }
}

fn whoami(socket: &Socket) -> serde_json::Value {
    let handshake = socket.handshake();
    let headers: serde_json::Map<_, _> = handshake
        .headers()
        .map(|(name, value)| (name.to_owned(), String::from_utf8_lossy(value).into()))
        .collect();
    let query: serde_json::Map<_, _> =
        handshake.queries().map(|(name, value)| (name, value.into())).collect();
    json!({
        "id": socket.id().as_str(),
        "transport": socket.transport().map(|transport| transport.name()),
        "recovered": socket.is_recovered(),
        "data": socket.data::<serde_json::Value>().unwrap_or_default(),
        "handshake": {
            "headers": headers,
            "query": query,
            "auth": handshake.auth::<serde_json::Value>().unwrap_or_default(),
            "address": handshake.address().map(|address| address.ip().to_string()),
            "secure": handshake.is_secure(),
            "xdomain": handshake.is_cross_domain(),
            "issued": handshake.issued().as_millis() as u64,
            "url": handshake.url(),
            "time": handshake.time(),
        },
    })
}

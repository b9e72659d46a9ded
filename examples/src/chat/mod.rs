//! The chat of `chat/PROTOCOL.md`: its events, and how they are wired to the server.
//!
//! Who is here is the business of [`people`], what may be said that of [`rules`], and the page that of [`pages`]; none of them
//! knows a server. Nothing in this module knows which runtime it is on.

pub mod pages;
pub mod people;
pub mod rules;

use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use std::{env, fs};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use socketio_driver::runtime::Runtime;
use socketio_driver::{
    Args, Bytes, DisconnectReason, EncodeError, Namespace, PerMessageDeflate, Reply, ServerBuilder, Sid,
    Socket,
};

use pages::Pages;
use people::{Arrival, People, RoomInfo};
use rules::{LOBBY, Picture, Refusal, Target};

/// Runs the chat on `HOST` and `PORT` (127.0.0.1 and 3000 unless they are set). The browser's client is served from
/// `CLIENT_DIR`, if that is set; websockets are compressed if `PER_MESSAGE_DEFLATE` is.
pub async fn run<R: Runtime + Default>(server: ServerBuilder<R>) -> ExitCode {
    match serve(server).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve<R: Runtime + Default>(server: ServerBuilder<R>) -> Result<(), String> {
    let host = env::var("HOST").unwrap_or_else(|_| "127.0.0.1".to_owned());
    let port = match env::var("PORT") {
        Ok(port) => port.parse().map_err(|_| format!("PORT is not a port: {port}"))?,
        Err(_) => 3000,
    };
    let pages = Pages::new(client());
    // A chat is text, which shrinks well; what that costs is CPU, so whoever runs it decides.
    let deflate = env::var_os("PER_MESSAGE_DEFLATE").map(|_| PerMessageDeflate::default());
    let server = server.per_message_deflate(deflate);
    let io = server.fallback(move |request| pages.answer(request)).build();
    attach(&io);
    let address = io.listen((host.as_str(), port)).await.map_err(|error| error.to_string())?;
    println!("ready http://{address}/");
    io.closed().await;
    Ok(())
}

/// The official client, from the folder `dist` of its npm package.
fn client() -> Option<Bytes> {
    let file = Path::new(&env::var_os("CLIENT_DIR")?).join("socket.io.min.js");
    match fs::read(&file) {
        Ok(client) => Some(client.into()),
        Err(error) => {
            eprintln!(
                "warning: the page will use the public copy of the client, since {} cannot be read: {error}",
                file.display()
            );
            None
        }
    }
}

/// Adds the chat to a namespace.
pub fn attach(io: &Namespace) {
    let chat = Arc::new(Chat::default());
    on(io, "login", &chat, Chat::login);
    on(io, "join", &chat, Chat::join);
    on(io, "leave", &chat, Chat::leave);
    on(io, "message", &chat, Chat::message);
    on(io, "picture", &chat, Chat::picture);
    on(io, "typing", &chat, Chat::typing);
    let this = chat.clone();
    io.on_connection(move |socket| this.clone().came(socket));
    io.on_disconnect(move |socket, reason| chat.clone().left(socket, reason));
}

/// The handlers decode their arguments themselves, so that wrong ones are answered.
fn on<Fut, R>(io: &Namespace, event: &str, chat: &Arc<Chat>, handler: fn(Arc<Chat>, Socket, Args) -> Fut)
where
    Fut: Future<Output = R> + Send + 'static,
    R: Reply,
{
    let chat = chat.clone();
    io.on(event, move |socket, args| handler(chat.clone(), socket, args));
}

/// What the handlers share.
#[derive(Debug, Default)]
struct Chat {
    /// Held while a change is announced, so that everybody hears of the changes in the order in which they were made.
    people: Mutex<People<Sid>>,
    last_id: AtomicU64,
}

/// An acknowledgement that begins with `ok: true`. A [`Refusal`] is the other kind.
#[derive(Debug, Serialize)]
struct Accepted<T> {
    ok: bool,
    #[serde(flatten)]
    content: T,
}

type Answer<T> = Result<Accepted<T>, Refusal>;

#[derive(Debug, Serialize)]
struct SignedIn {
    name: String,
    users: Vec<String>,
    rooms: Vec<RoomInfo>,
}

#[derive(Debug, Serialize)]
struct InRoom {
    room: String,
}

#[derive(Debug, Serialize)]
struct Sent {
    id: u64,
    at: u64,
    delivered: bool,
}

/// What a message or a picture is wrapped in.
#[derive(Debug, Serialize)]
struct Post<'a, T> {
    id: u64,
    at: u64,
    from: &'a str,
    target: &'a Target,
    #[serde(flatten)]
    content: T,
}

#[derive(Debug, Serialize)]
struct Text<'a> {
    text: &'a str,
}

impl Chat {
    fn people(&self) -> MutexGuard<'_, People<Sid>> {
        self.people.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn login(self: Arc<Self>, socket: Socket, args: Args) -> Answer<SignedIn> {
        /// A text that the page made up, to be known by when it comes back.
        #[derive(Default, Deserialize)]
        struct Auth {
            key: String,
        }
        let (name,): (String,) = read(&args)?;
        let name = rules::name(&name)?;
        let auth: Auth = socket.handshake().auth().unwrap_or_default();
        let mut people = self.people();
        let arrival = people.sign_in(socket.id(), name, rules::tab_key(&auth.key))?;
        let io = socket.namespace();
        socket.join([MEMBERS.to_owned(), room_of(LOBBY)]);
        match arrival {
            Arrival::New => sent(socket.to(MEMBERS).emit("user joined", name)),
            Arrival::TookOver(previous) => {
                io.to(&previous).sockets().iter().for_each(Socket::disconnect_all);
            }
        }
        announce_rooms(io, &people);
        accept(SignedIn { name: name.to_owned(), users: people.names(), rooms: people.rooms() })
    }

    async fn join(self: Arc<Self>, socket: Socket, args: Args) -> Answer<InRoom> {
        let mut people = self.people();
        let name = people.name_of(socket.id())?.to_owned();
        let (room,): (String,) = read(&args)?;
        rules::room(&room)?;
        if people.join(socket.id(), &room)? {
            socket.join(room_of(&room));
            sent(socket.to(room_of(&room)).emit("room joined", (&room, name)));
            announce_rooms(socket.namespace(), &people);
        }
        accept(InRoom { room })
    }

    async fn leave(self: Arc<Self>, socket: Socket, args: Args) -> Answer<InRoom> {
        let mut people = self.people();
        let name = people.name_of(socket.id())?.to_owned();
        let (room,): (String,) = read(&args)?;
        rules::room(&room)?;
        if people.leave(socket.id(), &room)? {
            socket.leave(room_of(&room));
            sent(socket.to(room_of(&room)).emit("room left", (&room, name)));
            announce_rooms(socket.namespace(), &people);
        }
        accept(InRoom { room })
    }

    async fn message(self: Arc<Self>, socket: Socket, args: Args) -> Answer<Sent> {
        let (from, to) = self.address(&socket, &args)?;
        let (_, text): (Target, String) = read(&args)?;
        let text = rules::text(&text)?;
        self.deliver(&socket, "message", &from, &to, Text { text }).await
    }

    async fn picture(self: Arc<Self>, socket: Socket, args: Args) -> Answer<Sent> {
        let (from, to) = self.address(&socket, &args)?;
        let (_, picture): (Target, Picture) = read(&args)?;
        let picture = picture.check()?;
        self.deliver(&socket, "picture", &from, &to, picture).await
    }

    async fn typing(self: Arc<Self>, socket: Socket, args: Args) {
        let (Ok((from, to)), Ok((_, on))) = (self.address(&socket, &args), read::<(Target, bool)>(&args))
        else {
            return;
        };
        sent(socket.to(to.room()).volatile().emit("typing", (to.target(), from, on)));
    }

    /// Who sends, and where to: the first argument says.
    fn address(&self, socket: &Socket, args: &Args) -> Result<(String, Recipient), Refusal> {
        let people = self.people();
        let from = people.name_of(socket.id())?.to_owned();
        let (target,): (Target,) = read(args)?;
        let to = match target {
            Target::Room(room) => {
                people.check_member(socket.id(), &room)?;
                Recipient::Room(Target::Room(room))
            }
            Target::User(name) => {
                let (name, sid) = people.other(socket.id(), &name)?;
                Recipient::User(Target::User(name.to_owned()), sid.clone())
            }
        };
        Ok((from, to))
    }

    async fn deliver<T: Serialize>(
        &self,
        socket: &Socket,
        event: &str,
        from: &str,
        to: &Recipient,
        content: T,
    ) -> Answer<Sent> {
        let id = self.last_id.fetch_add(1, Ordering::Relaxed) + 1;
        let at = unix_millis();
        let post = Post { id, at, from, target: to.target(), content };
        let delivered = match to {
            Recipient::Room(_) => {
                sent(socket.to(to.room()).emit(event, &post));
                false
            }
            Recipient::User(..) => {
                let asked =
                    socket.to(to.room()).timeout(DELIVERY_TIMEOUT).emit_with_ack::<(), _>(event, &post);
                match asked {
                    // Nobody is asked when the recipient has just left.
                    Ok(answers) => answers.await.is_ok_and(|answers| !answers.is_empty()),
                    Err(error) => unreachable!("{error}: {WELL_FORMED}"),
                }
            }
        };
        accept(Sent { id, at, delivered })
    }

    async fn came(self: Arc<Self>, socket: Socket) {
        self.announce_count(socket.namespace());
    }

    async fn left(self: Arc<Self>, socket: Socket, reason: DisconnectReason) {
        let io = socket.namespace();
        self.announce_count(io);
        let mut people = self.people();
        if let Some(name) = people.sign_out(socket.id()) {
            sent(io.to(MEMBERS).emit("user left", (name, reason.to_string())));
            announce_rooms(io, &people);
        }
    }

    fn announce_count(&self, io: &Namespace) {
        // The last to announce is the last to have counted.
        let _people = self.people();
        sent(io.emit("count", io.sockets_count()));
    }
}

/// Where a message goes.
#[derive(Debug)]
enum Recipient {
    Room(Target),
    User(Target, Sid),
}

impl Recipient {
    /// As the recipients are told.
    fn target(&self) -> &Target {
        match self {
            Self::Room(target) | Self::User(target, _) => target,
        }
    }

    /// The room on the server.
    fn room(&self) -> String {
        match self {
            Self::Room(Target::Room(room) | Target::User(room)) => room_of(room),
            Self::User(_, sid) => sid.to_string(),
        }
    }
}

fn accept<T>(content: T) -> Answer<T> {
    Ok(Accepted { ok: true, content })
}

fn read<T: DeserializeOwned>(args: &Args) -> Result<T, Refusal> {
    args.decode().map_err(|_| Refusal::BadRequest)
}

/// The prefix keeps the rooms that people name apart from those that are sockets' ids.
fn room_of(room: &str) -> String {
    format!("room:{room}")
}

fn announce_rooms(io: &Namespace, people: &People<Sid>) {
    sent(io.to(MEMBERS).emit("rooms", people.rooms()));
}

fn sent(result: Result<(), EncodeError>) {
    if let Err(error) = result {
        unreachable!("{error}: {WELL_FORMED}");
    }
}

#[expect(clippy::disallowed_methods, reason = "for people to read, not for the protocol")]
fn unix_millis() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64
}

/// The room of everybody who is signed in.
const MEMBERS: &str = "members";

/// How long the recipient of a private message has to acknowledge it.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(5);

const WELL_FORMED: &str = "the chat's events have good names and serialize";

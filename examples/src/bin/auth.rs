//! Authentication: a token is exchanged for a user before anybody gets in, and administrators have a namespace.
//!
//! ```text
//! cargo run -p socketio-examples --bin auth
//!
//! // node, with npm's socket.io-client
//! const io = require("socket.io-client");
//! const socket = io("http://localhost:3000/", { auth: { token: "alice-secret" } });
//! socket.on("welcome", (user) => console.log(user));
//! const stranger = io("http://localhost:3000/admin", { auth: { token: "bob-secret" } });
//! stranger.on("connect_error", (err) => console.log(err.message, err.data)); // forbidden { code: 403 }
//! ```

use serde::{Deserialize, Serialize};
use serde_json::json;
use socketio_tokio::{Ack, ConnectError, ServerBuilder, Socket};

/// What the client sends: `{ auth: { token } }`.
#[derive(Deserialize)]
struct Credentials {
    token: String,
}

/// What is known of a socket afterwards.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct User {
    name: String,
    is_admin: bool,
}

/// Stands for a database, or for checking a signature: it may take its time, and holds up nobody else.
async fn user_of(token: &str) -> Option<User> {
    match token {
        "alice-secret" => Some(User { name: "alice".into(), is_admin: true }),
        "bob-secret" => Some(User { name: "bob".into(), is_admin: false }),
        _ => None,
    }
}

/// A middleware for every namespace: who is it? Until it is done the socket is not connected.
async fn authenticate(socket: Socket) -> Result<(), ConnectError> {
    let refusal = || ConnectError::new("unauthorized").with_data(json!({ "code": 401 }));
    let credentials: Credentials = socket.handshake().auth().map_err(|_| refusal())?;
    let user = user_of(&credentials.token).await.ok_or_else(refusal)?;
    socket.set_data(&user).map_err(|error| ConnectError::new(error.to_string()))
}

/// A second one, for administrators: it runs after the first, and only if that let the client in.
async fn is_admin(socket: Socket) -> Result<(), ConnectError> {
    match socket.data::<User>() {
        Ok(User { is_admin: true, .. }) => Ok(()),
        _ => Err(ConnectError::new("forbidden").with_data(json!({ "code": 403 }))),
    }
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let io = ServerBuilder::new().build();
    io.use_middleware(authenticate);
    io.on_connection(|socket: Socket| async move {
        if let Ok(user) = socket.data::<User>() {
            // All sockets of one user, whatever the device.
            socket.join(format!("user:{}", user.name));
            socket.emit("welcome", user).ok();
        }
    });

    let admin = io.of("/admin");
    admin.use_middleware(authenticate);
    admin.use_middleware(is_admin);
    let users = io.of("/");
    admin.on("kick", move |_: Socket, name: String| {
        let sockets = users.to(format!("user:{name}"));
        async move {
            let count = sockets.sockets().len();
            sockets.disconnect_sockets_all();
            Ack(count)
        }
    });

    println!("listening on {}", io.listen("127.0.0.1:3000").await?);
    io.closed().await;
    Ok(())
}

//! What may be said in the chat: the table of rules in `chat/PROTOCOL.md`. Knows nothing of who is here.

use serde::ser::SerializeStruct;
use serde::{Deserialize, Serialize, Serializer};
use socketio_driver::{Bytes, Value};

/// The room that everybody is in.
pub const LOBBY: &str = "lobby";

/// Rooms that one person can be in, the lobby included.
pub const MAX_ROOMS: usize = 8;

/// Where a message goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Target {
    /// To everybody in a room.
    Room(String),
    /// To one person.
    User(String),
}

/// A picture as it arrives.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Picture {
    name: String,
    #[serde(rename = "type")]
    media_type: String,
    /// Not `Bytes`, which would take a text or a list of numbers as well.
    data: Value,
}

/// A picture that may be passed on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CheckedPicture {
    name: String,
    #[serde(rename = "type")]
    media_type: String,
    data: Bytes,
}

/// Why something was not done. Serializes into the acknowledgement that says so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The arguments are not what the event has.
    #[error("The server did not understand that.")]
    BadRequest,
    /// The socket has no name yet.
    #[error("Pick a name first.")]
    NotSignedIn,
    /// The socket has a name already.
    #[error("You are already signed in.")]
    AlreadySignedIn,
    /// A name that is empty, too long, or has control characters.
    #[error("A name has 1 to {MAX_NAME} characters.")]
    NameInvalid,
    /// Somebody has this name.
    #[error("Somebody here is already called {0}.")]
    NameTaken(String),
    /// A room name out of form.
    #[error("A room name has 1 to {MAX_ROOM} letters a–z, digits and dashes.")]
    RoomInvalid,
    /// The lobby cannot be left.
    #[error("Everybody stays in the lobby.")]
    LobbyLeft,
    /// One room more than [`MAX_ROOMS`].
    #[error("You can be in {MAX_ROOMS} rooms at a time. Leave one first.")]
    TooManyRooms,
    /// Only members can speak in a room.
    #[error("You are not in #{0}.")]
    NotInRoom(String),
    /// Nobody else has this name.
    #[error("{0} is not here.")]
    UserUnknown(String),
    /// A message of white space.
    #[error("There is nothing to send.")]
    TextEmpty,
    /// A long message.
    #[error("A message has at most {MAX_TEXT} characters.")]
    TextTooLong,
    /// A file of another kind.
    #[error("Only PNG, JPEG, GIF and WebP pictures can be sent.")]
    PictureType,
    /// A picture without data, or with too much.
    #[error("A picture can have at most 512 KB.")]
    PictureSize,
}

impl Refusal {
    /// The code for programs.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::BadRequest => "bad_request",
            Self::NotSignedIn => "not_signed_in",
            Self::AlreadySignedIn => "already_signed_in",
            Self::NameInvalid => "name_invalid",
            Self::NameTaken(_) => "name_taken",
            Self::RoomInvalid | Self::LobbyLeft => "room_invalid",
            Self::TooManyRooms => "too_many_rooms",
            Self::NotInRoom(_) => "not_in_room",
            Self::UserUnknown(_) => "user_unknown",
            Self::TextEmpty => "text_empty",
            Self::TextTooLong => "text_too_long",
            Self::PictureType => "picture_type",
            Self::PictureSize => "picture_size",
        }
    }
}

impl Serialize for Refusal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut answer = serializer.serialize_struct("Refusal", 3)?;
        answer.serialize_field("ok", &false)?;
        answer.serialize_field("code", self.code())?;
        answer.serialize_field("message", &self.to_string())?;
        answer.end()
    }
}

/// A name, without the white space around it.
///
/// # Errors
/// [`Refusal::NameInvalid`].
pub fn name(raw: &str) -> Result<&str, Refusal> {
    let name = raw.trim();
    let is_valid = (1..=MAX_NAME).contains(&name.chars().count()) && !name.chars().any(char::is_control);
    if is_valid { Ok(name) } else { Err(Refusal::NameInvalid) }
}

/// The text that a page knows itself by, if it can be used.
pub fn tab_key(raw: &str) -> Option<&str> {
    (1..=MAX_TAB_KEY).contains(&raw.chars().count()).then_some(raw)
}

/// Checks the name of a room.
///
/// # Errors
/// [`Refusal::RoomInvalid`].
pub fn room(name: &str) -> Result<(), Refusal> {
    let is_valid = (1..=MAX_ROOM).contains(&name.len())
        && !name.starts_with('-')
        && name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'));
    if is_valid { Ok(()) } else { Err(Refusal::RoomInvalid) }
}

/// A message, without the white space around it.
///
/// # Errors
/// [`Refusal::TextEmpty`], [`Refusal::TextTooLong`].
pub fn text(raw: &str) -> Result<&str, Refusal> {
    let text = raw.trim();
    if text.is_empty() {
        return Err(Refusal::TextEmpty);
    }
    if text.chars().count() > MAX_TEXT { Err(Refusal::TextTooLong) } else { Ok(text) }
}

impl Picture {
    /// Checks that the picture may be passed on.
    ///
    /// # Errors
    /// [`Refusal::BadRequest`] when its name is too long or its data is not binary, [`Refusal::PictureType`],
    /// [`Refusal::PictureSize`].
    pub fn check(self) -> Result<CheckedPicture, Refusal> {
        let Self { name, media_type, data: Value::Binary(data) } = self else {
            return Err(Refusal::BadRequest);
        };
        if name.chars().count() > MAX_PICTURE_NAME {
            return Err(Refusal::BadRequest);
        }
        if !PICTURE_TYPES.contains(&media_type.as_str()) {
            return Err(Refusal::PictureType);
        }
        if !(1..=MAX_PICTURE_BYTES).contains(&data.len()) {
            return Err(Refusal::PictureSize);
        }
        Ok(CheckedPicture { name, media_type, data })
    }
}

const MAX_NAME: usize = 24;
const MAX_ROOM: usize = 24;
const MAX_TEXT: usize = 2000;
const MAX_TAB_KEY: usize = 64;
const MAX_PICTURE_NAME: usize = 100;
const MAX_PICTURE_BYTES: usize = 512 * 1024;
const PICTURE_TYPES: [&str; 4] = ["image/png", "image/jpeg", "image/gif", "image/webp"];

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_name_is_trimmed_and_has_1_to_24_characters() {
        assert_eq!(name(" Ada Lovelace\n"), Ok("Ada Lovelace"));
        assert_eq!(name(&"ä".repeat(24)), Ok(&*"ä".repeat(24)));
        for bad in ["", " \t ", "a\u{7}b", &"a".repeat(25)] {
            assert_eq!(name(bad), Err(Refusal::NameInvalid), "{bad}");
        }
    }

    #[test]
    fn a_room_has_lower_case_letters_digits_and_inner_dashes() {
        for good in ["a", "0", "rust-2026", "a-", &"a".repeat(24)] {
            assert_eq!(room(good), Ok(()), "{good}");
        }
        for bad in ["", "-a", "A", "ä", "a b", " a", "a\n", &"a".repeat(25)] {
            assert_eq!(room(bad), Err(Refusal::RoomInvalid), "{bad}");
        }
    }

    #[test]
    fn a_text_is_trimmed_and_has_1_to_2000_characters() {
        assert_eq!(text(" hi "), Ok("hi"));
        assert!(text(&"💬".repeat(2000)).is_ok());
        assert_eq!(text(&"💬".repeat(2001)), Err(Refusal::TextTooLong));
        assert_eq!(text(" \n"), Err(Refusal::TextEmpty));
    }

    #[test]
    fn a_tab_key_has_1_to_64_characters() {
        assert_eq!(tab_key(&"k".repeat(64)), Some(&*"k".repeat(64)));
        assert_eq!(tab_key(&"k".repeat(65)), None);
        assert_eq!(tab_key(""), None);
    }

    #[test]
    fn a_target_has_exactly_one_key() {
        let read = |value| serde_json::from_value::<Target>(value).ok();
        assert_eq!(read(json!({ "room": "a" })), Some(Target::Room("a".into())));
        assert_eq!(read(json!({ "user": "a" })), Some(Target::User("a".into())));
        for bad in
            [json!({}), json!({ "room": "a", "user": "b" }), json!({ "room": 1 }), json!("room"), json!(null)]
        {
            assert_eq!(read(bad.clone()), None, "{bad}");
        }
    }

    fn picture(name: &str, media_type: &str, data: Value) -> Result<CheckedPicture, Refusal> {
        Picture { name: name.into(), media_type: media_type.into(), data }.check()
    }

    fn binary(len: usize) -> Value {
        Value::Binary(vec![7; len].into())
    }

    #[test]
    fn a_picture_is_binary_of_a_known_type_and_size() {
        let passed = picture("", "image/png", binary(1)).unwrap();
        assert_eq!(passed.data, [7].as_slice());
        assert!(picture(&"n".repeat(100), "image/webp", binary(MAX_PICTURE_BYTES)).is_ok());
        let long = picture(&"n".repeat(101), "image/png", binary(1));
        assert_eq!(long, Err(Refusal::BadRequest));
        assert_eq!(picture("", "image/png", Value::String("a".into())), Err(Refusal::BadRequest));
        assert_eq!(picture("", "image/svg+xml", binary(1)), Err(Refusal::PictureType));
        assert_eq!(picture("", "image/png", binary(0)), Err(Refusal::PictureSize));
        assert_eq!(picture("", "image/png", binary(MAX_PICTURE_BYTES + 1)), Err(Refusal::PictureSize));
    }

    #[test]
    fn a_refusal_is_an_answer() {
        assert_eq!(
            serde_json::to_value(Refusal::NameTaken("Ada".into())).unwrap(),
            json!({ "ok": false, "code": "name_taken", "message": "Somebody here is already called Ada." })
        );
        assert_eq!(Refusal::TooManyRooms.to_string(), "You can be in 8 rooms at a time. Leave one first.");
    }
}

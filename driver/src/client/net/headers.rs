//! The headers of a client's requests: the connection's, and the user's, which may change.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::header::{self, HeaderMap, HeaderName, HeaderValue};

use super::dial::Purpose;
use super::endpoint::Endpoint;
use super::{NetworkConfig, SetupError};

/// What stands above every request.
#[derive(Clone, Debug)]
pub(crate) struct Headers(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// `Host`, and credentials of the URL.
    own: HeaderMap,
    /// The user's for one transport alone, which do not change.
    polling: Option<HeaderMap>,
    websocket: Option<HeaderMap>,
    users: Mutex<HeaderMap>,
}

impl Headers {
    /// # Errors
    /// Whatever is wrong with the headers in `config`.
    pub(super) fn new(endpoint: &Endpoint, config: &NetworkConfig) -> Result<Self, SetupError> {
        let mut own = HeaderMap::new();
        let host = HeaderValue::try_from(endpoint.authority())
            .map_err(|_| SetupError::NoHost { url: endpoint.authority().to_owned() })?;
        own.insert(header::HOST, host);
        own.extend(endpoint.authorization().map(|value| (header::AUTHORIZATION, value.clone())));
        let checked = |headers: &Option<Vec<_>>| headers.as_deref().map(check).transpose();
        Ok(Self(Arc::new(Inner {
            own,
            polling: checked(&config.polling_headers)?,
            websocket: checked(&config.websocket_headers)?,
            users: Mutex::new(check(&config.headers)?),
        })))
    }

    /// Those of the next request.
    pub(super) fn of(&self, purpose: Purpose) -> HeaderMap {
        let mut headers = self.0.own.clone();
        let one_transports = match purpose {
            Purpose::Requests => &self.0.polling,
            Purpose::Websocket => &self.0.websocket,
        };
        // A user's `Host` is for a server that is reached by another name.
        match one_transports {
            Some(users) => headers.extend(users.clone()),
            None => headers.extend(self.users().clone()),
        }
        headers
    }

    /// Sets the user's, in the place of those that were there.
    ///
    /// # Errors
    /// [`SetupError::Header`] and [`SetupError::ReservedHeader`]. Nothing is changed then.
    pub(crate) fn set(&self, headers: &[(String, String)]) -> Result<(), SetupError> {
        let headers = check(headers)?;
        *self.users() = headers;
        Ok(())
    }

    fn users(&self) -> MutexGuard<'_, HeaderMap> {
        self.0.users.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn check(headers: &[(String, String)]) -> Result<HeaderMap, SetupError> {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        let invalid = || SetupError::Header { name: name.clone() };
        let key = HeaderName::try_from(name).map_err(|_| invalid())?;
        if OURS.contains(&key) {
            return Err(SetupError::ReservedHeader { name: name.clone() });
        }
        let mut value = HeaderValue::try_from(value).map_err(|_| invalid())?;
        value.set_sensitive(true);
        map.append(key, value);
    }
    Ok(map)
}

/// What frames a message or switches protocols cannot be the user's.
const OURS: [HeaderName; 10] = [
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::SEC_WEBSOCKET_ACCEPT,
    header::SEC_WEBSOCKET_EXTENSIONS,
    header::SEC_WEBSOCKET_KEY,
    header::SEC_WEBSOCKET_PROTOCOL,
    header::SEC_WEBSOCKET_VERSION,
    header::TE,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

#[cfg(test)]
mod tests {
    use super::*;

    fn one(name: &str, value: &str) -> Result<HeaderMap, SetupError> {
        check(&[(name.to_owned(), value.to_owned())])
    }

    #[test]
    fn headers_are_checked_by_name_and_value() {
        for name in ["", "a b", "ä", "a:"] {
            let error = one(name, "x").unwrap_err();
            assert!(matches!(error, SetupError::Header { .. }), "{name}: {error}");
        }
        for value in ["a\r\nb: c", "\0", "a\n"] {
            let error = one("x", value).unwrap_err();
            assert!(matches!(error, SetupError::Header { name } if name == "x"), "{value:?}");
        }
        for name in ["Upgrade", "connection", "Content-Length", "SEC-WEBSOCKET-KEY", "transfer-encoding"] {
            let error = one(name, "x").unwrap_err();
            assert!(matches!(error, SetupError::ReservedHeader { .. }), "{name}: {error}");
        }
        assert_eq!(one("X-Token", "a, b").unwrap()["x-token"], "a, b");
    }

    #[test]
    fn what_is_wrong_with_a_change_leaves_all_as_it_was() {
        let endpoint = Endpoint::parse("http://u:p@h").unwrap();
        let headers = Headers::new(&endpoint, &NetworkConfig::default()).unwrap();
        let set = |pairs: &[(&str, &str)]| {
            let pairs: Vec<_> = pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
            headers.set(&pairs)
        };
        set(&[("x-a", "1"), ("authorization", "Bearer hidden")]).unwrap();
        assert!(set(&[("x-b", "2"), ("upgrade", "h2c")]).is_err());
        let next = headers.of(Purpose::Requests);
        assert_eq!(
            (&next["x-a"], &next["authorization"], &next["host"]),
            (&"1".parse().unwrap(), &"Bearer hidden".parse().unwrap(), &"h".parse().unwrap())
        );
        assert!(!format!("{headers:?}").contains("hidden"));
        set(&[]).unwrap();
        let next = headers.of(Purpose::Websocket);
        assert_eq!((next.get("x-a"), &next["authorization"]), (None, &"Basic dTpw".parse().unwrap()));
    }
}

//! The cookies of one server, which a load balancer uses to keep a session in one place (REFERENCE 5.1, `withCredentials`).
//!
//! A client speaks to one host, so the jar need not know which of several a cookie is for: one for another domain is
//! thrown away when it arrives.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cookie::Cookie;
use http::header::{COOKIE, HeaderMap, HeaderValue, SET_COOKIE};

use super::endpoint::Endpoint;

/// What a server wants to see again.
#[derive(Debug, Default)]
pub(super) struct Jar(Mutex<VecDeque<Kept>>);

#[derive(Debug)]
struct Kept {
    name: String,
    value: String,
    path: String,
    /// Since the Unix epoch.
    expires: Option<Duration>,
}

impl Kept {
    fn bytes(&self) -> usize {
        self.name.len() + self.value.len() + self.path.len()
    }

    /// RFC 6265, 5.1.4.
    fn is_for(&self, path: &str) -> bool {
        path.strip_prefix(&*self.path)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || self.path.ends_with('/'))
    }
}

impl Jar {
    /// Keeps what a response to a request of `target` sets. `now` is the time since the Unix epoch.
    pub(super) fn store(&self, endpoint: &Endpoint, target: &str, response: &HeaderMap, now: Duration) {
        for value in response.get_all(SET_COOKIE) {
            match std::str::from_utf8(value.as_bytes()).ok().and_then(|text| Cookie::parse(text).ok()) {
                Some(cookie) => self.keep(endpoint, target, &cookie, now),
                None => tracing::debug!("a cookie that cannot be read"),
            }
        }
    }

    fn keep(&self, endpoint: &Endpoint, target: &str, cookie: &Cookie<'_>, now: Duration) {
        let domain = cookie.domain().unwrap_or_default();
        if !domain.is_empty() && !is_within(endpoint.host(), domain) {
            tracing::debug!(name = cookie.name(), domain, "a cookie for another domain");
            return;
        }
        let path = match cookie.path() {
            Some(path) if path.starts_with('/') => path.to_owned(),
            _ => default_path(target).to_owned(),
        };
        let expires = expiry(cookie, now);
        let (name, value) = (cookie.name().to_owned(), cookie.value().to_owned());
        let kept = Kept { name, value, path, expires };
        let mut jar = self.lock();
        jar.retain(|old| (&old.name, &old.path) != (&kept.name, &kept.path));
        let is_gone = expires.is_some_and(|at| at <= now);
        // Over a plain connection a secure one would never be sent.
        let is_useless = cookie.secure() == Some(true) && !endpoint.is_secure();
        if is_gone || is_useless || kept.bytes() > MAX_COOKIE_BYTES {
            return;
        }
        jar.push_back(kept);
        while jar.len() > MAX_COOKIES || jar.iter().map(Kept::bytes).sum::<usize>() > MAX_BYTES {
            jar.pop_front();
        }
    }

    /// Adds to a request of `target` what the server wants to see with it, behind what the user has set.
    pub(super) fn fill(&self, target: &str, request: &mut HeaderMap, now: Duration) {
        let path = path(target);
        let mut jar = self.lock();
        jar.retain(|kept| kept.expires.is_none_or(|at| at > now));
        let mut sent: Vec<&Kept> = jar.iter().filter(|kept| kept.is_for(path)).collect();
        // RFC 6265, 5.4: longer paths first, then the older ones.
        sent.sort_by_key(|kept| std::cmp::Reverse(kept.path.len()));
        let own = request.get(COOKIE).map(|own| own.as_bytes().to_vec());
        let pairs = sent.iter().map(|kept| format!("{}={}", kept.name, kept.value).into_bytes());
        let line = own.into_iter().chain(pairs).collect::<Vec<_>>().join(&b"; "[..]);
        if let (false, Ok(mut value)) = (line.is_empty(), HeaderValue::from_bytes(&line)) {
            value.set_sensitive(true);
            request.insert(COOKIE, value);
        }
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Kept>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// RFC 6265, 5.3: `Max-Age` goes before `Expires`.
fn expiry(cookie: &Cookie<'_>, now: Duration) -> Option<Duration> {
    let from_epoch = |seconds: i64| Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
    match (cookie.max_age(), cookie.expires_datetime()) {
        (Some(age), _) => Some(now.saturating_add(from_epoch(age.whole_seconds()))),
        (None, Some(at)) => Some(from_epoch(at.unix_timestamp())),
        (None, None) => None,
    }
}

/// RFC 6265, 5.1.3: the host itself, or a name below the domain; an address is below nothing.
fn is_within(host: &str, domain: &str) -> bool {
    let domain = domain.trim_start_matches('.').to_ascii_lowercase();
    host == domain
        || (host.parse::<std::net::IpAddr>().is_err()
            && host.strip_suffix(&*domain).is_some_and(|rest| rest.ends_with('.')))
}

fn path(target: &str) -> &str {
    target.split('?').next().unwrap_or(target)
}

/// RFC 6265, 5.1.4: up to the last slash, without it.
fn default_path(target: &str) -> &str {
    let path = path(target);
    match path.rfind('/') {
        Some(at) if at > 0 => &path[..at],
        _ => "/",
    }
}

/// As many as RFC 6265, 6.1, asks for as a minimum, of the size it asks for.
const MAX_COOKIES: usize = 50;
const MAX_COOKIE_BYTES: usize = 4096;

/// Of them all: what the head of a request may be for Node.js, less the rest of it.
const MAX_BYTES: usize = 12 * 1024;

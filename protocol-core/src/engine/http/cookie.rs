//! The cookie that a polling handshake may set, for load balancers (REFERENCE 1.8). Nothing in the protocol reads it.

use alloc::string::String;
use core::fmt::Write as _;
use core::time::Duration;

use thiserror::Error;

use super::{Header, is_token};

/// A cookie whose value is the session id. Every attribute is checked when it is set, so that none can hold another
/// attribute or another header (CVE-2024-47764).
///
/// The default is `io=<sid>; Path=/; HttpOnly; SameSite=Lax`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cookie {
    name: String,
    max_age: Option<Duration>,
    domain: Option<String>,
    path: Option<String>,
    expires: Option<u64>,
    http_only: bool,
    secure: bool,
    partitioned: bool,
    priority: Option<Priority>,
    same_site: Option<SameSite>,
}

/// Which requests from other sites carry the cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SameSite {
    /// None.
    Strict,
    /// Navigations.
    Lax,
    /// All. Browsers require [`Cookie::secure`] with it.
    None,
}

/// Which cookies a browser drops first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Priority {
    /// The first to go.
    Low,
    /// The default of browsers.
    Medium,
    /// The last to go.
    High,
}

/// Why a cookie attribute is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum CookieError {
    /// The name is not a token of HTTP.
    #[error("not a valid cookie name")]
    Name,
    /// The domain is not a host name.
    #[error("not a valid cookie domain")]
    Domain,
    /// The path holds a control character, `;`, `<` or something beyond ASCII.
    #[error("not a valid cookie path")]
    Path,
    /// The time of expiry is after the year 9999, which the format cannot express.
    #[error("not a valid cookie expiry")]
    Expires,
}

impl Default for Cookie {
    fn default() -> Self {
        Self {
            name: "io".into(),
            max_age: None,
            domain: None,
            path: Some("/".into()),
            expires: None,
            http_only: true,
            secure: false,
            partitioned: false,
            priority: None,
            same_site: Some(SameSite::Lax),
        }
    }
}

impl Cookie {
    /// Sets the name.
    ///
    /// # Errors
    ///
    /// [`CookieError::Name`].
    pub fn name(self, name: &str) -> Result<Self, CookieError> {
        if !is_token(name.as_bytes()) {
            return Err(CookieError::Name);
        }
        Ok(Self { name: name.into(), ..self })
    }

    /// Sets the domain. A dot in front is allowed.
    ///
    /// # Errors
    ///
    /// [`CookieError::Domain`].
    pub fn domain(self, domain: &str) -> Result<Self, CookieError> {
        let is_label = |label: &str| {
            let alphanumeric = |b: Option<u8>| b.is_some_and(|b| b.is_ascii_alphanumeric());
            label.len() <= 63
                && alphanumeric(label.bytes().next())
                && alphanumeric(label.bytes().last())
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        };
        if !domain.strip_prefix('.').unwrap_or(domain).split('.').all(is_label) {
            return Err(CookieError::Domain);
        }
        Ok(Self { domain: Some(domain.into()), ..self })
    }

    /// Sets the path, or leaves it out.
    ///
    /// # Errors
    ///
    /// [`CookieError::Path`].
    pub fn path(self, path: Option<&str>) -> Result<Self, CookieError> {
        if path.is_some_and(|path| !path.bytes().all(|b| matches!(b, b' '..=b':' | b'='..=b'~'))) {
            return Err(CookieError::Path);
        }
        Ok(Self { path: path.map(Into::into), ..self })
    }

    /// Sets the time of expiry, in seconds since 1970.
    ///
    /// # Errors
    ///
    /// [`CookieError::Expires`].
    pub fn expires(self, unix_seconds: u64) -> Result<Self, CookieError> {
        if unix_seconds > LAST_SECOND {
            return Err(CookieError::Expires);
        }
        Ok(Self { expires: Some(unix_seconds), ..self })
    }

    /// Sets the lifetime. Sent in whole seconds.
    #[must_use]
    pub fn max_age(self, max_age: Duration) -> Self {
        Self { max_age: Some(max_age), ..self }
    }

    /// Whether scripts cannot read it.
    #[must_use]
    pub fn http_only(self, http_only: bool) -> Self {
        Self { http_only, ..self }
    }

    /// Whether it is sent over TLS only.
    #[must_use]
    pub fn secure(self, secure: bool) -> Self {
        Self { secure, ..self }
    }

    /// Whether each site that embeds this one has a jar of its own.
    #[must_use]
    pub fn partitioned(self, partitioned: bool) -> Self {
        Self { partitioned, ..self }
    }

    /// Sets the priority.
    #[must_use]
    pub fn priority(self, priority: Priority) -> Self {
        Self { priority: Some(priority), ..self }
    }

    /// Sets the policy for other sites, or leaves it out.
    #[must_use]
    pub fn same_site(self, same_site: Option<SameSite>) -> Self {
        Self { same_site, ..self }
    }

    /// The `Set-Cookie` header of the response to a polling handshake. An id that the application chose is
    /// percent-encoded where it has to be.
    pub fn header(&self, sid: &str) -> Header {
        let mut value = String::with_capacity(96);
        value.push_str(&self.name);
        value.push('=');
        for b in sid.bytes() {
            // What `encodeURIComponent` leaves alone.
            if b.is_ascii_alphanumeric() || b"-_.!~*'()".contains(&b) {
                value.push(char::from(b));
            } else {
                // Writing to a string cannot fail.
                let _ = write!(value, "%{b:02X}");
            }
        }
        if let Some(max_age) = self.max_age {
            let _ = write!(value, "; Max-Age={}", max_age.as_secs());
        }
        for (name, text) in [("Domain", &self.domain), ("Path", &self.path)] {
            if let Some(text) = text {
                let _ = write!(value, "; {name}={text}");
            }
        }
        if let Some(expires) = self.expires {
            value.push_str("; Expires=");
            push_date(expires, &mut value);
        }
        for (flag, name) in
            [(self.http_only, "; HttpOnly"), (self.secure, "; Secure"), (self.partitioned, "; Partitioned")]
        {
            if flag {
                value.push_str(name);
            }
        }
        match self.priority {
            None => {}
            Some(Priority::Low) => value.push_str("; Priority=Low"),
            Some(Priority::Medium) => value.push_str("; Priority=Medium"),
            Some(Priority::High) => value.push_str("; Priority=High"),
        }
        match self.same_site {
            None => {}
            Some(SameSite::Strict) => value.push_str("; SameSite=Strict"),
            Some(SameSite::Lax) => value.push_str("; SameSite=Lax"),
            Some(SameSite::None) => value.push_str("; SameSite=None"),
        }
        Header::new("Set-Cookie", value)
    }
}

/// 9999-12-31T23:59:59Z.
const LAST_SECOND: u64 = 253_402_300_799;

/// Appends the date of HTTP: `Thu, 01 Jan 1970 00:00:00 GMT`.
fn push_date(unix_seconds: u64, out: &mut String) {
    const WEEKDAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] =
        ["Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec", "Jan", "Feb"];
    let (days, second) = (unix_seconds / 86_400, unix_seconds % 86_400);
    // Years that begin in March, in eras of 400 of them: the leap day is the last day of a year, and all eras are alike.
    let since_0000_03_01 = days + 719_468;
    let (era, day) = (since_0000_03_01 / 146_097, since_0000_03_01 % 146_097);
    let year_of_era = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * month + 2) / 5 + 1;
    let year = era * 400 + year_of_era + u64::from(month >= 10);
    // Remainders and months are within their tables; writing to a string cannot fail.
    let _ = write!(
        out,
        "{}, {day_of_month:02} {} {year:04} {:02}:{:02}:{:02} GMT",
        WEEKDAYS[(days % 7) as usize],
        MONTHS[month as usize],
        second / 3_600,
        second / 60 % 60,
        second % 60
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(cookie: Cookie, sid: &str) -> String {
        let header = cookie.header(sid);
        assert_eq!(header.name, "Set-Cookie");
        String::from_utf8(header.value.to_vec()).unwrap()
    }

    #[test]
    fn the_default_is_that_of_the_reference() {
        assert_eq!(value(Cookie::default(), "lv_VI97H"), "io=lv_VI97H; Path=/; HttpOnly; SameSite=Lax");
    }

    #[test]
    fn every_attribute_is_sent_in_order() {
        let cookie = Cookie::default()
            .name("sticky")
            .and_then(|cookie| cookie.domain(".example.org"))
            .and_then(|cookie| cookie.path(Some("/a b")))
            .and_then(|cookie| cookie.expires(1_445_412_480))
            .unwrap()
            .max_age(Duration::from_millis(60_999))
            .secure(true)
            .partitioned(true)
            .priority(Priority::High)
            .same_site(Some(SameSite::None));
        assert_eq!(
            value(cookie.clone(), "s"),
            "sticky=s; Max-Age=60; Domain=.example.org; Path=/a b; Expires=Wed, 21 Oct 2015 07:28:00 GMT; HttpOnly; \
             Secure; Partitioned; Priority=High; SameSite=None"
        );
        let rest = Cookie::default().path(None).unwrap().http_only(false).same_site(None);
        assert_eq!(value(rest.clone(), "s"), "io=s");
        assert_eq!(value(rest.clone().priority(Priority::Low), "s"), "io=s; Priority=Low");
        assert_eq!(value(rest.clone().priority(Priority::Medium), "s"), "io=s; Priority=Medium");
        assert_eq!(value(rest.same_site(Some(SameSite::Strict)), "s"), "io=s; SameSite=Strict");
    }

    #[test]
    fn an_id_cannot_add_attributes() {
        assert_eq!(
            value(Cookie::default().path(None).unwrap().http_only(false).same_site(None), "a; b=\r\n\"€~"),
            "io=a%3B%20b%3D%0D%0A%22%E2%82%AC~"
        );
    }

    #[test]
    fn no_attribute_can_hold_another() {
        for name in ["", "a b", "a=b", "a;b", "a\r\nb", "ü", "a,b"] {
            assert_eq!(Cookie::default().name(name), Err(CookieError::Name), "{name}");
        }
        for domain in ["", ".", "..a", "a..b", "a.", "-a", "a-", "a b", "a;b", "a\nb", "ä.de"] {
            assert_eq!(Cookie::default().domain(domain), Err(CookieError::Domain), "{domain}");
        }
        for path in ["/;a", "/<", "/\n", "/\u{7f}", "/ü"] {
            assert_eq!(Cookie::default().path(Some(path)), Err(CookieError::Path), "{path}");
        }
        let label = "a".repeat(63);
        assert!(Cookie::default().domain(&label).is_ok());
        assert!(Cookie::default().domain(&alloc::format!("{label}a")).is_err());
    }

    #[test]
    fn dates_are_those_of_http() {
        for (seconds, date) in [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
            (951_868_799, "Tue, 29 Feb 2000 23:59:59 GMT"),
            (951_868_800, "Wed, 01 Mar 2000 00:00:00 GMT"),
            (4_107_542_399, "Sun, 28 Feb 2100 23:59:59 GMT"),
            (4_107_542_400, "Mon, 01 Mar 2100 00:00:00 GMT"),
            (1_767_225_599, "Wed, 31 Dec 2025 23:59:59 GMT"),
            (LAST_SECOND, "Fri, 31 Dec 9999 23:59:59 GMT"),
        ] {
            let mut out = String::new();
            push_date(seconds, &mut out);
            assert_eq!(out, date);
        }
        assert!(Cookie::default().expires(LAST_SECOND).is_ok());
        assert_eq!(Cookie::default().expires(LAST_SECOND + 1), Err(CookieError::Expires));
    }
}

//! Whether, and how, a poll response is compressed (REFERENCE 1.9). The compressing is the driver's.

use super::{Headers, list};

/// Payloads of fewer bytes are sent as they are.
pub const DEFAULT_COMPRESSION_THRESHOLD: usize = 1024;

/// A content coding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContentEncoding {
    /// `gzip`.
    Gzip,
    /// `deflate`: a zlib stream.
    Deflate,
}

impl ContentEncoding {
    /// The name, for `Content-Encoding`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
        }
    }
}

/// The coding of a poll response, `None` for none: the payload has at least one packet that may be compressed
/// (`compressible`), is not shorter than the threshold (`None` turns compression off), and the client takes a coding.
pub fn content_encoding(
    headers: &dyn Headers,
    body_len: usize,
    compressible: bool,
    threshold: Option<usize>,
) -> Option<ContentEncoding> {
    (compressible && threshold.is_some_and(|threshold| body_len >= threshold))
        .then(|| negotiate(headers))
        .flatten()
}

/// The coding the client likes best: the highest quality; among equals one that is named before one that `*` stands
/// for, then the client's order. What has quality 0, or none that can be read, is not acceptable.
pub fn negotiate(headers: &dyn Headers) -> Option<ContentEncoding> {
    let mut best: [Option<Preference>; 2] = [None; 2];
    let mut order = 0;
    headers.each("accept-encoding", &mut |value| {
        for member in list(value) {
            let mut parts = member.split(|&b| b == b';').map(<[u8]>::trim_ascii);
            let name = parts.next().unwrap_or_default();
            let quality = parts.find_map(|part| part.strip_prefix(b"q=")).map_or(1.0, quality);
            for (coding, best) in CODINGS.into_iter().zip(&mut best) {
                let named = name.eq_ignore_ascii_case(coding.name().as_bytes());
                if !named && name != b"*" {
                    continue;
                }
                let new = Preference { named, quality, order };
                // The coding's own name overrides the wildcard whatever the qualities are.
                if best.is_none_or(|old| (new.named, new.quality) >= (old.named, old.quality)) {
                    *best = Some(new);
                }
            }
            order += 1;
        }
    });
    CODINGS
        .into_iter()
        .zip(best)
        .filter_map(|(coding, preference)| Some((coding, preference?)))
        .filter(|(_, preference)| preference.quality > 0.0)
        .reduce(|a, b| if b.1.is_over(&a.1) { b } else { a })
        .map(|(coding, _)| coding)
}

const CODINGS: [ContentEncoding; 2] = [ContentEncoding::Gzip, ContentEncoding::Deflate];

#[derive(Clone, Copy)]
struct Preference {
    /// By its name, not by `*`.
    named: bool,
    quality: f32,
    /// The place in the client's list.
    order: usize,
}

impl Preference {
    fn is_over(&self, other: &Self) -> bool {
        self.quality
            .total_cmp(&other.quality)
            .then(self.named.cmp(&other.named))
            .then(other.order.cmp(&self.order))
            .is_gt()
    }
}

fn quality(text: &[u8]) -> f32 {
    let number = core::str::from_utf8(text).ok().and_then(|text| text.trim().parse::<f32>().ok());
    number.filter(|quality| quality.is_finite()).unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use proptest::prelude::*;

    use super::ContentEncoding::{Deflate, Gzip};
    use super::*;

    fn of(accept: &str) -> Option<ContentEncoding> {
        negotiate(&[("Accept-Encoding", accept)])
    }

    #[test]
    fn the_highest_quality_wins() {
        assert_eq!(of("gzip;q=0.5, deflate;q=0.8"), Some(Deflate));
        assert_eq!(of("gzip;q=0.8, deflate;q=0.5"), Some(Gzip));
        assert_eq!(of("identity, gzip;q=0.1"), Some(Gzip));
    }

    #[test]
    fn ties_go_by_the_order_of_the_client() {
        assert_eq!(of("deflate, gzip"), Some(Deflate));
        assert_eq!(of("gzip, deflate, br"), Some(Gzip));
        assert_eq!(of("DEFLATE;q=1, GZIP"), Some(Deflate));
    }

    #[test]
    fn a_wildcard_is_gzip_unless_something_is_named() {
        assert_eq!(of("*"), Some(Gzip));
        assert_eq!(of("*, deflate"), Some(Deflate));
        assert_eq!(of("deflate;q=0.5, *"), Some(Gzip));
        assert_eq!(of("gzip;q=0, *"), Some(Deflate));
        assert_eq!(of("*;q=0"), None);
        assert_eq!(of("*;q=0, gzip"), Some(Gzip));
    }

    #[test]
    fn nothing_acceptable_is_identity() {
        for none in [
            "",
            "br",
            "identity",
            "gzip;q=0",
            "gzip;q=0.000, deflate;q=x",
            "gzip;q=NaN",
            "gzip;q=-1",
            "x-gzip",
            ",;,",
        ] {
            assert_eq!(of(none), None, "{none}");
        }
        assert_eq!(negotiate(&[("a", "gzip")]), None);
    }

    #[test]
    fn several_fields_are_one_list() {
        let headers = [("accept-encoding", "br"), ("Accept-Encoding", "deflate")];
        assert_eq!(negotiate(&headers), Some(Deflate));
    }

    #[test]
    fn the_threshold_is_met_by_1024_bytes_and_not_by_1023() {
        let headers = [("accept-encoding", "gzip")];
        let of = |len, compressible, threshold| content_encoding(&headers, len, compressible, threshold);
        let threshold = Some(DEFAULT_COMPRESSION_THRESHOLD);
        assert_eq!(of(1024, true, threshold), Some(Gzip));
        assert_eq!(of(1023, true, threshold), None);
        assert_eq!(of(1024, false, threshold), None);
        assert_eq!(of(1024, true, None), None);
    }

    proptest! {
        #[test]
        fn arbitrary_headers_never_panic(value: Vec<u8>, noisy in "[gzipdeflate*,;q=0-9. ]{0,60}") {
            negotiate(&[("accept-encoding", value)]);
            negotiate(&[("accept-encoding", noisy)]);
        }
    }
}

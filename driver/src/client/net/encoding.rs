//! Compressed responses.

use std::io::Read;

use flate2::read::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use http::HeaderMap;
use http::header::CONTENT_ENCODING;
use socketio_core::Bytes;
use socketio_core::engine::client::Failure;

use super::fault;

/// The body without its coding, at most `max_bytes` long.
pub(super) fn decode(headers: &HeaderMap, body: Bytes, max_bytes: usize) -> Result<Bytes, Failure> {
    let mut codings = headers.get_all(CONTENT_ENCODING).iter();
    let Some(coding) = codings.next() else { return Ok(body) };
    if codings.next().is_some() {
        return Err(fault::wrong("more than one content coding"));
    }
    match coding.as_bytes().trim_ascii().to_ascii_lowercase().as_slice() {
        b"" | b"identity" => Ok(body),
        b"gzip" | b"x-gzip" => inflate(MultiGzDecoder::new(&*body), max_bytes),
        // By the book it is zlib's format; some servers send the bare stream, and every browser takes it.
        b"deflate" if is_zlib(&body) => inflate(ZlibDecoder::new(&*body), max_bytes),
        b"deflate" => inflate(DeflateDecoder::new(&*body), max_bytes),
        _ => Err(fault::wrong("a content coding that was not asked for")),
    }
}

fn inflate(decoder: impl Read, max_bytes: usize) -> Result<Bytes, Failure> {
    let mut plain = Vec::new();
    let limit = u64::try_from(max_bytes).unwrap_or(u64::MAX).saturating_add(1);
    decoder.take(limit).read_to_end(&mut plain).map_err(|error| fault::broken(&error))?;
    if plain.len() > max_bytes { Err(Failure::TooLarge) } else { Ok(plain.into()) }
}

/// RFC 1950, 2.2: deflate is method 8, and the two bytes are a multiple of 31.
fn is_zlib(body: &[u8]) -> bool {
    matches!(*body, [first, second, ..] if first & 15 == 8 && u16::from_be_bytes([first, second]) % 31 == 0)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
    use http::HeaderValue;

    use super::*;

    const TEXT: &[u8] = b"0{\"sid\":\"0123456789012345678901234567890123456789\"}";

    fn decoded(coding: &'static str, body: Vec<u8>, max_bytes: usize) -> Result<Bytes, Failure> {
        let headers = HeaderMap::from_iter([(CONTENT_ENCODING, HeaderValue::from_static(coding))]);
        decode(&headers, body.into(), max_bytes)
    }

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn every_coding_asked_for_is_undone() {
        let mut zlib = ZlibEncoder::new(Vec::new(), Compression::default());
        zlib.write_all(TEXT).unwrap();
        let mut bare = DeflateEncoder::new(Vec::new(), Compression::default());
        bare.write_all(TEXT).unwrap();
        for (coding, body) in [
            ("gzip", gzip(TEXT)),
            ("X-GZIP ", gzip(TEXT)),
            ("gzip", [gzip(&TEXT[..9]), gzip(&TEXT[9..])].concat()),
            ("deflate", zlib.finish().unwrap()),
            ("Deflate", bare.finish().unwrap()),
            ("identity", TEXT.to_vec()),
        ] {
            assert_eq!(decoded(coding, body, TEXT.len()).as_deref(), Ok(TEXT), "{coding}");
        }
        assert_eq!(decode(&HeaderMap::new(), TEXT.into(), 0).as_deref(), Ok(TEXT));
    }

    #[test]
    fn the_limit_holds_for_what_comes_out() {
        let bomb = gzip(&vec![b'0'; 1 << 20]);
        assert!(bomb.len() < 2000);
        assert_eq!(decoded("gzip", bomb.clone(), (1 << 20) - 1), Err(Failure::TooLarge));
        assert_eq!(decoded("gzip", bomb, 1 << 20).map(|body| body.len()), Ok(1 << 20));
    }

    #[test]
    fn what_is_broken_or_unknown_is_refused() {
        let whole = gzip(TEXT);
        for length in 0..whole.len() {
            assert_eq!(decoded("gzip", whole[..length].to_vec(), 100), Err(Failure::Connection), "{length}");
        }
        assert_eq!(decoded("br", TEXT.to_vec(), 100), Err(Failure::Connection));
        assert_eq!(decoded("gzip, gzip", whole, 100), Err(Failure::Connection));
        assert_eq!(decoded("deflate", vec![0xFF; 9], 100), Err(Failure::Connection));
        let two = [(CONTENT_ENCODING, HeaderValue::from_static("identity")); 1];
        let mut headers = HeaderMap::from_iter(two.clone());
        headers.extend([(CONTENT_ENCODING, two[0].1.clone())]);
        assert!(headers.append(CONTENT_ENCODING, two[0].1.clone()));
        assert_eq!(decode(&headers, TEXT.into(), 100), Err(Failure::Connection));
    }
}

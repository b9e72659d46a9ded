//! Bodies: of requests, collected up to a limit; of responses, compressed where that pays.

use std::io::Write as _;
use std::pin::pin;

use bytes::{Buf as _, BytesMut};
use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use http_body::Body;
use http_body_util::BodyExt;
use socketio_core::Bytes;
use socketio_core::engine::http::ContentEncoding;

/// Why a body was not collected.
pub(crate) enum BodyError {
    TooLarge,
    /// Its connection ended first.
    Broken,
}

/// A whole body. One that arrives in one piece, as most do, is not copied.
pub(crate) async fn collect<B: Body>(body: B, limit: usize) -> Result<Bytes, BodyError> {
    let mut body = pin!(body);
    let mut collected = BytesMut::new();
    let mut total: usize = 0;
    while let Some(frame) = body.frame().await {
        let Ok(mut data) = frame.map_err(|_| BodyError::Broken)?.into_data() else { continue };
        let len = data.remaining();
        total = total.saturating_add(len);
        if total > limit {
            // Read on, so that the client hears the answer instead of a broken pipe; but not for ever.
            if total > limit.saturating_mul(DISCARD_FACTOR) {
                break;
            }
            collected = BytesMut::new();
        } else if collected.is_empty() && body.is_end_stream() {
            return Ok(data.copy_to_bytes(len));
        } else {
            collected.extend_from_slice(&data.copy_to_bytes(len));
        }
    }
    if total > limit { Err(BodyError::TooLarge) } else { Ok(collected.freeze()) }
}

/// The body in another coding.
pub(crate) fn compress(body: &[u8], encoding: ContentEncoding) -> Bytes {
    let out = Vec::with_capacity(body.len() / 2);
    // Writing to a Vec does not fail.
    let compressed = match encoding {
        ContentEncoding::Gzip => {
            let mut encoder = GzEncoder::new(out, Compression::default());
            encoder.write_all(body).and_then(|()| encoder.finish())
        }
        ContentEncoding::Deflate => {
            let mut encoder = ZlibEncoder::new(out, Compression::default());
            encoder.write_all(body).and_then(|()| encoder.finish())
        }
    };
    compressed.unwrap_or_default().into()
}

/// How many times the limit of a body is read and thrown away before the connection is given up.
const DISCARD_FACTOR: usize = 16;

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn what_is_compressed_can_be_read_again() {
        let text = b"a poll response ".repeat(100);
        let mut read = Vec::new();
        let gzip = compress(&text, ContentEncoding::Gzip);
        flate2::read::GzDecoder::new(&*gzip).read_to_end(&mut read).unwrap();
        assert_eq!(read, text);
        read.clear();
        let deflate = compress(&text, ContentEncoding::Deflate);
        flate2::read::ZlibDecoder::new(&*deflate).read_to_end(&mut read).unwrap();
        assert_eq!(read, text);
        assert!(gzip.len() < text.len() && deflate.len() < text.len());
    }
}

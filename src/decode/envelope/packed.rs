//! Base64 and gzip inside a record, within limits.

use std::borrow::Cow;
use std::io::Read;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use flate2::read::MultiGzDecoder;

/// Most bytes that the gzip data of one record may unpack to, all of it together.
pub(super) const MAX_UNPACKED_BYTES: usize = 64 * 1024 * 1024;

const CONFIG: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, CONFIG);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, CONFIG);

/// What lies under base64 and gzip.
pub(super) enum Unpacked {
    /// Text, and the damage behind it, if there is any.
    Text(String, Option<String>),
    /// Not base64, or something that is neither text nor gzip.
    Nothing,
}

/// Unpacks base64, then any gzip data in it; takes what it unpacks from `budget`.
pub(super) fn unpack(text: &str, budget: &mut usize) -> Unpacked {
    let text = without_blanks(text);
    let text = text.as_bytes();
    if text.len() < 8 {
        return Unpacked::Nothing;
    }
    let Ok(bytes) = STANDARD.decode(text).or_else(|_| URL_SAFE.decode(text)) else {
        return Unpacked::Nothing;
    };
    if !bytes.starts_with(b"\x1f\x8b") {
        return match String::from_utf8(bytes) {
            Ok(text) => Unpacked::Text(text, None),
            Err(_) => Unpacked::Nothing,
        };
    }
    let mut unpacked = Vec::new();
    let limit = *budget as u64 + 1;
    let read = MultiGzDecoder::new(&bytes[..])
        .take(limit)
        .read_to_end(&mut unpacked);
    let mut damage = read
        .err()
        .map(|cause| format!("damaged gzip data: {cause}"));
    if unpacked.len() > *budget {
        unpacked.truncate(*budget);
        damage = Some(format!(
            "the gzip data of one record unpacks to more than {MAX_UNPACKED_BYTES} bytes; the rest was not read"
        ));
    }
    *budget -= unpacked.len();
    let text = String::from_utf8(unpacked)
        .unwrap_or_else(|bytes| String::from_utf8_lossy(bytes.as_bytes()).into_owned());
    Unpacked::Text(text, damage)
}

/// MIME base64 has line ends.
fn without_blanks(text: &str) -> Cow<'_, str> {
    let text = text.trim();
    if text.contains(|char: char| char.is_ascii_whitespace()) {
        return Cow::Owned(text.split_ascii_whitespace().collect());
    }
    Cow::Borrowed(text)
}

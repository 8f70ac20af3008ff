//! Formats that are told by their first bytes and not read.

use std::fmt;

/// A format that is not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Format {
    name: &'static str,
    way: Way,
}

/// What to do with a format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// A command that writes the content to standard output.
    Unpack(&'static str),
    /// A command that unpacks `FILE` into the folder `logs`.
    Extract(&'static str),
    /// Advice as a clause.
    Advice(&'static str),
    /// Never a log.
    NoLog,
}

use Way::{Advice, Extract, NoLog, Unpack};

/// Of any compression that it finds a program for.
const UNTAR: &str = "mkdir logs && tar -xf FILE -C logs";

/// What names of compressed tar archives end in.
const TARS: [&str; 3] = ["tbz2", "txz", "tlz"];

/// Offset, magic bytes, name, way.
const FORMATS: [(usize, &[u8], &str, Way); 32] = [
    (0, b"BZh", "bzip2 data", Unpack("bzip2 -dc")),
    (0, b"\xfd7zXZ\0", "xz data", Unpack("xz -dc")),
    (0, b"\x5d\0\0\x80\0", "lzma data", Unpack("xz -dc")),
    (0, b"LZIP", "lzip data", Unpack("lzip -dc")),
    (0, b"\x04\x22\x4d\x18", "lz4 data", Unpack("lz4 -dc")),
    (0, b"\xff\x06\0\0sNaPpY", "snappy data", Unpack("snzip -dc")),
    (0, b"\x1f\x9d", "compress (.Z) data", Unpack("gzip -dc")),
    (
        0,
        b"PK\x03\x04",
        "a zip archive",
        Extract("unzip -d logs FILE"),
    ),
    (0, b"PK\x05\x06", "an empty zip archive", NoLog),
    (
        0,
        b"7z\xbc\xaf\x27\x1c",
        "a 7z archive",
        Extract("7z x -ologs FILE"),
    ),
    (
        0,
        b"Rar!\x1a\x07",
        "a rar archive",
        Extract("mkdir logs && unrar x FILE logs/"),
    ),
    (257, b"ustar", "a tar archive", Extract(UNTAR)),
    (
        0,
        b"PAR1",
        "a Parquet file",
        Advice("export the rows as JSON lines"),
    ),
    (
        0,
        b"Obj\x01",
        "an Avro file",
        Advice("export the records as JSON lines"),
    ),
    (
        0,
        b"ORC",
        "an ORC file",
        Advice("export the rows as JSON lines"),
    ),
    (
        0,
        b"SQLite format 3\0",
        "a SQLite database",
        Advice("export the events as JSON lines"),
    ),
    (
        0,
        b"ElfFile\0",
        "a Windows event log (evtx)",
        Advice("it holds no Kubernetes audit events"),
    ),
    (
        0,
        b"-----BEGIN PGP MESSAGE-----",
        "an OpenPGP message",
        Unpack(GPG),
    ),
    (
        0,
        b"age-encryption.org/v1",
        "data encrypted with age",
        Unpack(AGE),
    ),
    (
        0,
        b"-----BEGIN AGE ENCRYPTED FILE-----",
        "data encrypted with age",
        Unpack(AGE),
    ),
    (
        0,
        b"Salted__",
        "data encrypted with openssl",
        Unpack("openssl enc -d -CIPHER -in"),
    ),
    (
        0,
        b"version https://git-lfs.github.com/spec/",
        "a Git LFS pointer in place of the file",
        Advice("fetch the file itself: git lfs pull"),
    ),
    (
        0,
        b"/annex/objects/",
        "a git-annex pointer in place of the file",
        Advice("fetch the file itself: git annex get FILE"),
    ),
    (0, b"%PDF-", "a PDF document", NoLog),
    (0, b"\x89PNG\r\n", "a PNG image", NoLog),
    (0, b"\xff\xd8\xff", "a JPEG image", NoLog),
    (0, b"GIF8", "a GIF image", NoLog),
    (0, b"\x7fELF", "a program (ELF)", NoLog),
    (
        0,
        b"LPKSHHRH",
        "a systemd journal",
        Unpack("journalctl -o cat --file"),
    ),
    (
        0,
        b"\xff\xfe\0\0",
        "UTF-32 text",
        Unpack("iconv -f UTF-32 -t UTF-8"),
    ),
    (
        0,
        b"\0\0\xfe\xff",
        "UTF-32 text",
        Unpack("iconv -f UTF-32 -t UTF-8"),
    ),
    (
        0,
        b"\x1f\x8b",
        "gzip data inside two other compressions",
        Unpack("gzip -dc"),
    ),
];

const GPG: &str = "gpg -d";
const AGE: &str = "age -d -i KEY";

/// `OpenPGP` without armor; apart because its magic is bits (RFC 9580, sections 4.2, 5.1 and 5.3).
const OPENPGP: Format = Format {
    name: "an OpenPGP message",
    way: Unpack(GPG),
};

const HTML: Format = Format {
    name: "an HTML page",
    way: Advice(
        "it may be a login or error page that was saved in place of the log: open it in a browser, and download the log again",
    ),
};

const XML: Format = Format {
    name: "an XML document",
    way: Advice("export the events as JSON lines"),
};

/// What stores of objects answer in place of an object, by the code in it; the codes of S3, Google Cloud Storage and
/// Azure, the first for all others.
const STORE_ERRORS: [(&str, &str, &str); 13] = [
    ("", "an error of an object store", DOWNLOAD),
    (
        "AccessDenied",
        "an error of an object store (AccessDenied)",
        RIGHTS,
    ),
    (
        "AllAccessDisabled",
        "an error of an object store (AllAccessDisabled)",
        RIGHTS,
    ),
    (
        "AuthenticationFailed",
        "an error of an object store (AuthenticationFailed)",
        RIGHTS,
    ),
    (
        "AuthorizationFailure",
        "an error of an object store (AuthorizationFailure)",
        RIGHTS,
    ),
    (
        "BlobNotFound",
        "an error of an object store (BlobNotFound)",
        NAME,
    ),
    (
        "ExpiredToken",
        "an error of an object store (ExpiredToken)",
        RIGHTS,
    ),
    (
        "InvalidAccessKeyId",
        "an error of an object store (InvalidAccessKeyId)",
        RIGHTS,
    ),
    (
        "InvalidObjectState",
        "an error of an object store (InvalidObjectState)",
        "the object is archived: restore it, and download it again",
    ),
    (
        "NoSuchBucket",
        "an error of an object store (NoSuchBucket)",
        NAME,
    ),
    ("NoSuchKey", "an error of an object store (NoSuchKey)", NAME),
    (
        "RequestTimeTooSkewed",
        "an error of an object store (RequestTimeTooSkewed)",
        "set the clock of the machine that downloads, and download it again",
    ),
    (
        "SignatureDoesNotMatch",
        "an error of an object store (SignatureDoesNotMatch)",
        RIGHTS,
    ),
];
const DOWNLOAD: &str = "it was saved in place of the log: download the log again";
const RIGHTS: &str =
    "it was saved in place of the log: download the log again as somebody who may read it";
const NAME: &str = "it was saved in place of the log: look for the name of the log in the bucket";

/// zstd of more layers than are unpacked; apart because of its second magic number.
const ZSTD: Format = Format {
    name: "zstd data inside two other compressions",
    way: Unpack("zstd -dc"),
};

impl Format {
    /// Names content that its first bytes show not to be text that can be read.
    ///
    /// gzip and zstd are among it: they are asked for only behind the layers that are unpacked.
    pub(super) fn of(head: &[u8]) -> Option<Self> {
        match head {
            [0x28, 0xb5, 0x2f, 0xfd, ..] => return Some(ZSTD),
            // An encrypted session key, by public key or by password; no text begins so.
            [0x84 | 0xc1, _, 3, ..]
            | [0x85 | 0xc1, _, _, 3, ..]
            | [0x8c | 0xc3, ..0x80, 4..=6, ..] => return Some(OPENPGP),
            _ => {}
        }
        let formats = FORMATS
            .iter()
            .find(|(at, magic, ..)| head.get(*at..).is_some_and(|rest| rest.starts_with(magic)))
            .map(|&(_, _, name, way)| Self { name, way });
        formats.or_else(|| markup(head))
    }

    /// Returns what the user can do now with a file of this name.
    pub fn hint(&self, name: &str) -> String {
        let is_tar = name.contains(".tar.") || TARS.iter().any(|end| name.ends_with(end));
        match self.way {
            Unpack(_) if is_tar => Extract(UNTAR).hint(),
            way => way.hint(),
        }
    }
}

/// Names a page that was saved in place of a log; one that a log follows is not named.
fn markup(head: &[u8]) -> Option<Format> {
    let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
    let text = text.trim_ascii_start();
    let starts = |sign: &[u8]| {
        (text.get(..sign.len())).is_some_and(|start| start.eq_ignore_ascii_case(sign))
    };
    let has = |sign: &[u8]| memchr::memmem::find(head, sign).is_some();
    if has(b"audit.k8s.io") {
        return None;
    }
    if starts(b"<!doctype html") || starts(b"<html") || starts(b"<?xml") && has(b"<html") {
        return Some(HTML);
    }
    let is_xml = starts(b"<?xml");
    if (is_xml || starts(b"<Error>")) && has(b"<Error>") && has(b"<Code>") {
        let is_it = |code: &&(&str, _, _)| has(format!("<Code>{}", code.0).as_bytes());
        let mut known = STORE_ERRORS[1..].iter();
        let &(_, name, advice) = known.find(is_it).unwrap_or(&STORE_ERRORS[0]);
        let way = Advice(advice);
        return Some(Format { name, way });
    }
    is_xml.then_some(XML)
}

impl Way {
    fn hint(self) -> String {
        match self {
            Unpack(command) => format!("unpack it first: {command} FILE | kubescry scan -"),
            Extract(command) => format!("unpack it first: {command} && kubescry scan logs"),
            Advice(advice) => advice.to_owned(),
            NoLog => "leave it out".to_owned(),
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

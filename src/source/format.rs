//! Formats that are told by magic bytes and not read.

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
const FORMATS: [(usize, &[u8], &str, Way); 26] = [
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
        if head.starts_with(b"\x28\xb5\x2f\xfd") {
            return Some(ZSTD);
        }
        FORMATS
            .iter()
            .find(|(at, magic, ..)| head.get(*at..).is_some_and(|rest| rest.starts_with(magic)))
            .map(|&(_, _, name, way)| Self { name, way })
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

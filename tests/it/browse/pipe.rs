//! A pipe that is open and quiet: what it has told is shown.

use std::fs::File;
use std::io::Write;
use std::process::Command;

use tempfile::TempDir;

use super::{PROGRAM, REUSE, path, sh};
use crate::support::{read, root};

#[test]
fn what_came_through_a_pipe_is_shown_while_it_is_open() {
    let folder = TempDir::new().unwrap();
    let fifo = folder.path().join("fifo");
    let made = Command::new("mkfifo").arg(&fifo).status().unwrap();
    assert!(made.success());
    let log = read(&root().join(REUSE));
    let ends: Vec<usize> = memchr::memchr_iter(b'\n', &log).collect();
    let mut tty = sh(&format!("exec {PROGRAM} browse - < '{}'", path(&fifo)));
    // Waits for the program, and keeps the pipe open.
    let mut writer = File::options().write(true).open(&fifo).unwrap();
    // The last line is not whole.
    let cut = ends[599] + 100;
    writer.write_all(&log[..cut]).unwrap();
    tty.see("reading 600 events");
    tty.press("2")
        .see("findings so far")
        .see("A credential used");
    tty.press("4")
        .see(" requests ")
        .see(" kubernetes-admin create ");
    tty.press("v").see("auditID: ").press("v").miss("auditID: ");

    let more = ends[3999] + 1;
    writer.write_all(&log[cut..more]).unwrap();
    tty.see("reading 4000 events").press_until("G", "04:57:36Z");
    // Few are told as well as many.
    writer.write_all(&log[more..]).unwrap();
    tty.see("reading 4047 events").press_until("G", "04:57:38Z");
    tty.press("2").see("32 findings so far");
    drop(writer);
    tty.done().see("32 findings by severity");
    tty.press("1").see("What was read").press("q").leaves();
}

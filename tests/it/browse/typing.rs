//! What is typed and pasted arrives, however much of it comes at once; and the end of the terminal is the end.

use std::io::Read;
use std::time::Instant;

use portable_pty::{PtyPair, PtySize, native_pty_system};

use super::{CTRL_R, ENTER, PATIENCE, POLL, PROGRAM, SMALL, Tty, browse, command};

/// More than crossterm reads at a time, and than the terminal keeps for who does not read.
const LONG: usize = 5000;

/// Leaves from the view of queries.
fn leave(tty: &mut Tty) {
    tty.press("1").see("What was read");
    tty.press("q").leaves();
}

#[test]
fn what_is_pasted_without_brackets_is_read_whole() {
    let mut tty = browse(&[SMALL]);
    tty.done().press("8").see("Ctrl-r runs");
    let text = "x".repeat(LONG);
    // No key comes behind it that would wake anybody up.
    tty.press(&format!("SELECT LENGTH('{text}') AS n{CTRL_R}"))
        .see(&LONG.to_string());
    leave(&mut tty);
}

#[test]
fn what_is_pasted_in_brackets_is_one_text() {
    let mut tty = browse(&[SMALL]);
    tty.done().press("8").see("Ctrl-r runs");
    // Within brackets no key is one: a tab completes nothing, and being invisible, it goes.
    let text = "x\t".repeat(LONG / 2);
    tty.press(&format!(
        "\x1b[200~SELECT LENGTH('{text}') AS n\x1b[201~{CTRL_R}"
    ))
    .see(&(LONG / 2).to_string());
    leave(&mut tty);
}

#[test]
fn a_search_takes_a_long_paste() {
    let mut tty = browse(&[SMALL]);
    tty.done().press("4").see("11-22 04:55:27Z  200 ");
    let text = "y".repeat(LONG);
    tty.press(&format!("/{text}.end")).see("y.end");
    tty.press(ENTER).see("no match");
    leave(&mut tty);
}

#[test]
fn a_terminal_that_is_gone_ends_the_program_without_a_signal() {
    let PtyPair { slave, master } = native_pty_system().openpty(PtySize::default()).unwrap();
    let mut command = command(PROGRAM);
    command.args(["browse", SMALL]);
    // The signal comes to those whose session the terminal is of.
    command.set_controlling_tty(false);
    let mut child = slave.spawn_command(command).unwrap();
    drop(slave);
    let mut reader = master.try_clone_reader().unwrap();
    let (mut seen, mut buffer) = (Vec::new(), [0; 1 << 14]);
    while memchr::memmem::find(&seen, b"What was read").is_none() {
        let length = reader.read(&mut buffer).unwrap();
        seen.extend_from_slice(&buffer[..length]);
    }
    drop(reader);
    drop(master);
    let deadline = Instant::now() + PATIENCE;
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if Instant::now() >= deadline {
            child.kill().unwrap();
            panic!("the program does not end");
        }
        std::thread::sleep(POLL);
    };
    // A panic is another code.
    assert!(matches!(status.exit_code(), 0 | 2), "{status}");
}

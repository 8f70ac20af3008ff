//! A line to an event: what the fast path accepts, the general one reads just so.

#![no_main]

use foldhash::quality::SeedableRandomState;
use kubescry::decode::event::Span;
use kubescry::decode::{decode, decode_native, text_of};
use kubescry::frame::coder::CodedEvent;
use kubescry::frame::{
    Coder, Column, ColumnType, EventColumns, EventFrame, EventText, Place, Vocabulary,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let text = &*text_of(data.to_vec()).0;
    // The API server never writes a blank in front, so that leads to the general path.
    let spaced = format!(" {text}");
    let mut coder = Coder::new(&Vocabulary::new());
    // First the pieces of the event are read, then they are known by their text, then the whole line is.
    for _ in 0..4 {
        let (native, used) = framed(coder, text, |columns, event| {
            let place = Place {
                text: EventText::InChunk(0),
                ..Place::default()
            };
            columns.push_native(text, &place, event)
        });
        let (general, used) = framed(used, text, |columns, event| {
            assert!(
                !decode_native(&spaced, columns.coder(), event),
                "the general path is meant"
            );
            let is_event = decode(&spaced, columns.coder(), event).is_ok();
            if is_event {
                columns.push(event, &spaced, &Place::default());
            }
            is_event
        });
        coder = used;
        if let Some(native) = native {
            let general = general.expect("what the fast path accepts is JSON");
            compare(&native, &general);
        }
    }
});

/// Returns a frame of the event in `text`, if there is one, and the coder.
fn framed<'a>(
    coder: Coder,
    text: &'a str,
    push: impl FnOnce(&mut EventColumns<'_>, &mut CodedEvent<'a>) -> bool,
) -> (Option<EventFrame>, Coder) {
    let hasher = SeedableRandomState::default();
    let mut columns = EventColumns::new(&hasher, coder, "fuzz", None);
    let mut event = CodedEvent::default();
    let is_event = push(&mut columns, &mut event);
    let (frame, coder) = columns.finish(text.to_owned());
    (is_event.then_some(frame), coder)
}

fn compare(native: &EventFrame, general: &EventFrame) {
    for &column in Column::ALL {
        let name = column.name();
        match column.kind() {
            ColumnType::Coded | ColumnType::CodedList => {
                let text =
                    |frame: &EventFrame| frame.vocabulary().text(frame.code(column, 0)).to_owned();
                assert_eq!(text(native), text(general), "{name}");
            }
            ColumnType::Number => {
                assert_eq!(native.code(column, 0), general.code(column, 0), "{name}");
            }
            ColumnType::Text => {
                assert_eq!(native.text(column, 0), general.text(column, 0), "{name}");
            }
            ColumnType::Time => {
                assert_eq!(native.times(column), general.times(column), "{name}");
            }
            ColumnType::Flag => assert_eq!(native.is_masters(0), general.is_masters(0), "{name}"),
            // Where it stands is the same by construction.
            ColumnType::Long => {}
        }
    }
    let bodies = |frame: &EventFrame| {
        let detail = frame.detail(0);
        let spans = [
            detail.request_object,
            detail.response_object,
            detail.annotations,
            detail.extra,
        ];
        spans.map(|span: Span| span.slice(frame.record(0)).to_owned())
    };
    assert_eq!(bodies(native), bodies(general));
}

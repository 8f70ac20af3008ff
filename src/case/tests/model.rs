//! Random steps of a user against plain lists.

use super::*;

/// Something that a user does.
#[derive(Debug, Clone)]
enum Step {
    State(u8, State),
    AddNote(u8, String),
    EditNote(usize, String),
    DeleteNote(usize),
    Bookmark(u8, i8),
    TellText(String),
    TellNote(usize),
    TellBookmark(usize),
    Move(usize, Direction),
    Untell(usize),
    Log(String),
    Query(u8),
    View(u8, u8),
    Break(bool),
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    let small = 0_u8..6;
    let text = "\\PC{0,12}";
    let idx = 0_usize..8;
    let state = proptest::sample::select(State::ALL.to_vec());
    let direction = proptest::sample::select(vec![Direction::Up, Direction::Down]);
    prop_oneof![
        (small.clone(), state).prop_map(|(id, state)| Step::State(id, state)),
        (small.clone(), text).prop_map(|(id, text)| Step::AddNote(id, text)),
        (idx.clone(), text).prop_map(|(idx, text)| Step::EditNote(idx, text)),
        idx.clone().prop_map(Step::DeleteNote),
        (small.clone(), any::<i8>()).prop_map(|(at, ts)| Step::Bookmark(at, ts)),
        text.prop_map(Step::TellText),
        idx.clone().prop_map(Step::TellNote),
        idx.clone().prop_map(Step::TellBookmark),
        (idx.clone(), direction).prop_map(|(idx, direction)| Step::Move(idx, direction)),
        idx.prop_map(Step::Untell),
        text.prop_map(Step::Log),
        small.clone().prop_map(Step::Query),
        (small.clone(), small).prop_map(|(key, json)| Step::View(key, json)),
        any::<bool>().prop_map(Step::Break),
        Just(Step::Reopen),
    ]
}

/// What a case should hold, by plain lists.
#[derive(Debug, Default, PartialEq)]
struct Model {
    states: BTreeMap<String, State>,
    notes: Vec<(String, String)>,
    /// By place, with the time.
    bookmarks: Vec<(u64, i64)>,
    /// Notes by text and subject are not unique, so entries hold the place of what they tell.
    story: Vec<Told>,
    journal: Vec<String>,
    queries: Vec<String>,
    view: BTreeMap<String, String>,
}

#[derive(Debug, Clone, PartialEq)]
enum Told {
    Text(String),
    Note(NoteId),
    Bookmark(u64),
}

fn model_of(case: &Case) -> Model {
    let told = |item: &StoryItem| match &item.entry {
        StoryEntry::Text(text) => Told::Text(text.clone()),
        StoryEntry::Note(id) => Told::Note(*id),
        StoryEntry::Bookmark(id) => {
            let mut bookmarks = case.bookmarks().iter();
            Told::Bookmark(bookmarks.find(|mark| mark.id == *id).unwrap().offset)
        }
        StoryEntry::Finding(_) => unreachable!("no step tells findings"),
    };
    Model {
        states: case
            .states()
            .map(|(id, change)| (id.to_owned(), change.state))
            .collect(),
        notes: case
            .notes()
            .map(|note| match &note.subject {
                Subject::Identity(name) => (name.clone(), note.text.clone()),
                other => unreachable!("no step notes {other:?}"),
            })
            .collect(),
        bookmarks: case
            .bookmarks()
            .iter()
            .map(|mark| (mark.offset, mark.ts.0))
            .collect(),
        story: case.story().iter().map(told).collect(),
        journal: case
            .journal(usize::MAX)
            .unwrap()
            .into_iter()
            .map(|entry| entry.text)
            .collect(),
        queries: case.queries().map(|query| query.sql.clone()).collect(),
        view: case.contents.view.clone(),
    }
}

/// Does `step` to both; errors of saving are expected while the database is broken.
fn apply(step: &Step, case: &mut Case, model: &mut Model) {
    let note_ids: Vec<NoteId> = case.notes().map(|note| note.id).collect();
    let story_ids: Vec<StoryId> = case.story().iter().map(|item| item.id).collect();
    let at = Timestamp(1);
    match step {
        Step::State(id, state) => {
            let _ = case.set_state(&id.to_string(), *state, at);
            model.states.insert(id.to_string(), *state);
        }
        Step::AddNote(id, text) => {
            let _ = case.add_note(Subject::Identity(id.to_string()), text.as_str(), at);
            model.notes.push((id.to_string(), text.clone()));
        }
        Step::EditNote(idx, text) => {
            if let Some(id) = note_ids.get(*idx) {
                let _ = case.edit_note(*id, text.as_str(), at);
                model.notes[*idx].1.clone_from(text);
            }
        }
        Step::DeleteNote(idx) => {
            if let Some(id) = note_ids.get(*idx) {
                let _ = case.delete_note(*id);
                model.notes.remove(*idx);
                model.story.retain(|told| *told != Told::Note(*id));
            }
        }
        Step::Bookmark(place, ts) => {
            let (offset, ts) = (u64::from(*place), i64::from(*ts));
            let _ = case.toggle_bookmark(bookmark("a", offset, ts, "x"));
            let before = model.bookmarks.len();
            model.bookmarks.retain(|(other, _)| *other != offset);
            model.story.retain(|told| *told != Told::Bookmark(offset));
            if model.bookmarks.len() == before {
                model.bookmarks.push((offset, ts));
                model.bookmarks.sort_by_key(|(offset, ts)| (*ts, *offset));
            }
        }
        Step::TellText(text) => {
            let _ = case.add_to_story(StoryEntry::Text(text.clone()), at);
            model.story.push(Told::Text(text.clone()));
        }
        Step::TellNote(idx) => {
            if let Some(id) = note_ids.get(*idx) {
                let _ = case.add_to_story(StoryEntry::Note(*id), at);
                if !model.story.contains(&Told::Note(*id)) {
                    model.story.push(Told::Note(*id));
                }
            }
        }
        Step::TellBookmark(idx) => {
            if let Some(mark) = case.bookmarks().get(*idx).cloned() {
                let _ = case.add_to_story(StoryEntry::Bookmark(mark.id), at);
                let told = Told::Bookmark(mark.offset);
                if !model.story.contains(&told) {
                    model.story.push(told);
                }
            }
        }
        Step::Move(idx, direction) => {
            if let Some(id) = story_ids.get(*idx) {
                let _ = case.move_in_story(*id, *direction);
                let to = match direction {
                    Direction::Up => idx.wrapping_sub(1),
                    Direction::Down => idx + 1,
                };
                if to < model.story.len() {
                    model.story.swap(*idx, to);
                }
            }
        }
        Step::Untell(idx) => {
            if let Some(id) = story_ids.get(*idx) {
                let _ = case.remove_from_story(*id);
                model.story.remove(*idx);
            }
        }
        Step::Log(text) => {
            let _ = case.log(at, text.as_str());
            model.journal.push(text.clone());
        }
        Step::Query(n) => {
            let _ = case.add_query(&n.to_string(), at);
            model.queries.retain(|query| *query != n.to_string());
            model.queries.insert(0, n.to_string());
        }
        Step::View(key, json) => {
            let _ = case.set_view(&key.to_string(), &json.to_string());
            model.view.insert(key.to_string(), json.to_string());
        }
        Step::Break(on) => {
            let connection = &case.database.connection;
            connection.pragma_update(None, "query_only", on).unwrap();
        }
        Step::Reopen => unreachable!("the caller opens"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn any_steps_agree_with_the_model(steps in proptest::collection::vec(step(), 0..40)) {
        let folder = tempfile::tempdir().unwrap();
        let mut case = Case::open(folder.path()).unwrap();
        let mut model = Model::default();
        for step in &steps {
            if let Step::Reopen = step {
                apply(&Step::Break(false), &mut case, &mut model);
                case.save().unwrap();
                let before = all(&case);
                drop(case);
                case = Case::open(folder.path()).unwrap();
                prop_assert_eq!(all(&case), before);
            } else {
                apply(step, &mut case, &mut model);
            }
            prop_assert_eq!(&model_of(&case), &model, "after {:?}", step);
        }
    }
}

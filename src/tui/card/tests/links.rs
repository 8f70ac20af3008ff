//! Links: each leads to a card, and to the right one.

use super::*;

#[test]
fn every_link_leads_to_a_card() {
    let questions = Questions::embedded().unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("sample-logs");
    for version in ["v1.20", "v1.36"] {
        let log = Log::read(&[root.join(version)]);
        let mut seen: HashSet<Pivot> = HashSet::new();
        let overview = log.overview();
        let mut queue: VecDeque<Pivot> = links(&overview).cloned().collect();
        queue.extend(credentials_rows(&log).into_iter().map(|row| row.pivot));
        while let Some(pivot) = queue.pop_front() {
            // Of the many alike, some suffice.
            let of_kind = seen
                .iter()
                .filter(|other| std::mem::discriminant(*other) == std::mem::discriminant(&pivot));
            if of_kind.count() >= 150 || !seen.insert(pivot.clone()) {
                continue;
            }
            let card = log.card(&pivot);
            assert!(!card.title.is_empty(), "{pivot:?}");
            let text = text(&card);
            assert!(!text.starts_with("No "), "{pivot:?}: {text}");
            let holds_any = match &pivot {
                Pivot::Identity(_) | Pivot::Address(_) | Pivot::Value(..) => {
                    !text.contains("requests    0 requests")
                }
                Pivot::Place(_) => false,
                _ => true,
            };
            let acted_on = matches!(&pivot, Pivot::Identity(_));
            assert!(holds_any || acted_on, "{pivot:?}: {text}");
            if let Pivot::Question(name, parameters) = &pivot {
                let question = questions.find(name).unwrap();
                for (name, _) in parameters {
                    assert!(
                        question.parameters.iter().any(|one| one.name == *name),
                        "{pivot:?}"
                    );
                }
            }
            queue.extend(links(&card).cloned());
        }
        assert!(seen.len() > 200, "{}", seen.len());
    }
}

#[test]
fn evidence_leads_to_its_events() {
    for name in LOGS {
        let log = Log::sample(name);
        for finding in &*log.results.findings {
            let card = log.card(&Pivot::Finding(finding.finding_id.clone()));
            let rows: Vec<u32> = links(&card)
                .filter_map(|link| match link {
                    Pivot::Event(row) => Some(*row),
                    _ => None,
                })
                .collect();
            assert_eq!(rows.len(), finding.evidence.len(), "{}", finding.rule.name);
            for (row, evidence) in rows.iter().zip(&finding.evidence) {
                let (segment, row_idx) = log.snapshot.locate(*row).unwrap();
                let vocabulary = &log.snapshot.vocabulary;
                let lane = segment.lane(Column::AuditId.into(), vocabulary).unwrap();
                assert_eq!(lane.show(row_idx, vocabulary), *evidence.audit_id);
                let card = log.card(&Pivot::Event(*row));
                let about = Pivot::Finding(finding.finding_id.clone());
                assert!(links(&card).any(|link| *link == about), "{}", text(&card));
            }
        }
    }
}

#[test]
fn what_is_in_files_makes_the_same_cards() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let path = [root.join("sample-logs/v1.36/token-reuse.log.gz")];
    let in_memory = Log::read(&path);
    let limits = Limits {
        memory_bytes: 100_000,
        ..Limits::default()
    };
    let in_files = Log::read_within(&path, limits);
    let files = in_files.snapshot.segments.iter();
    assert!(files.filter(|segment| segment.file().is_some()).count() > 0);
    let mut pivots: HashSet<Pivot> = HashSet::new();
    let overview = in_memory.overview();
    assert_eq!(text(&overview), text(&in_files.overview()));
    pivots.extend(links(&overview).cloned());
    for pivot in pivots.clone() {
        pivots.extend(links(&in_memory.card(&pivot)).cloned());
    }
    assert!(pivots.len() > 50, "{}", pivots.len());
    for pivot in &pivots {
        assert_eq!(in_memory.card(pivot), in_files.card(pivot), "{pivot:?}");
    }
}

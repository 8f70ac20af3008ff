//! `kubescry query`: a question in, rows out.

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use clap::Args;

use super::Global;
use super::diagnostic::{Diagnostic, Printer};
use super::exit::Exit;
use super::progress;
use super::read_args::ReadArgs;
use super::rule_args::RuleArgs;
use super::scan::{missing, stop_on_interrupt};
use crate::finding::Timestamp;
use crate::frame::Vocabulary;
use crate::pipeline;
use crate::query::question::{GROUPS, Loaded, QuestionError};
use crate::query::{
    AS_LIST, IN_LIST, QueryError, Question, Questions, TABLES, Tables, needs_detection,
};
use crate::report::{RowFormat, write_rows};
use crate::store::{Limits, Store};

/// Rows that a table shows unless asked otherwise.
const TABLE_ROWS: usize = 200;

/// Options of `kubescry query`.
#[derive(Debug, Args)]
pub struct QueryArgs {
    /// Name of a saved question, or SQL; without one, the questions are listed
    #[arg(value_name = "NAME|SQL")]
    pub query: Option<String>,
    /// Audit log files and folders; `-` is standard input. Without any, the question is shown and not asked
    #[arg(value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// Tell a question one of its parameters (can be repeated)
    #[arg(long = "param", short, value_name = "NAME=VALUE", value_parser = parse_parameter)]
    pub parameters: Vec<(String, String)>,
    /// How to print the rows
    #[arg(long, value_enum, default_value_t)]
    pub format: RowFormat,
    /// Print so many rows [default: all; a table has 200]
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,
    /// Print the SQL with its parameters filled in, too, on standard error
    #[arg(long)]
    pub show_sql: bool,
    /// List the tables and their columns
    #[arg(long)]
    pub schema: bool,
    /// How logs are read
    #[command(flatten)]
    pub read: ReadArgs,
    /// Which rules fill the table `findings`
    #[command(flatten)]
    pub rules: RuleArgs,
}

fn parse_parameter(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("NAME=VALUE is expected")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// What is asked.
enum Asked<'q> {
    Question(&'q Question),
    Sql(&'q str),
}

/// Asks, prints, and says how it went.
pub(super) fn run(args: &QueryArgs, global: &Global, printer: Printer) -> Exit {
    let questions = match questions(&args.rules, args.query.as_deref(), printer) {
        Ok(questions) => questions,
        Err(exit) => return exit,
    };
    if args.schema {
        return printed(print_schema(), printer);
    }
    let Some(query) = &args.query else {
        return printed(print_list(&questions), printer);
    };
    let asked = if query.trim().contains(char::is_whitespace) {
        Asked::Sql(query)
    } else {
        match questions.find(query) {
            Ok(question) => Asked::Question(question),
            Err(_) if query == "-" || Path::new(query).exists() => {
                return no_question(query, printer);
            }
            Err(error) => return refuse(&error, printer),
        }
    };
    if args.paths.is_empty() {
        return match asked {
            Asked::Question(question) => match question.check(&args.parameters, (0, 0)) {
                Ok(()) => printed(print_question(question), printer),
                Err(error) => refuse(&error, printer),
            },
            Asked::Sql(_) => {
                let error = Diagnostic::error("no log to ask");
                printer.print(&error.hint("kubescry query 'SELECT ...' PATH"));
                Exit::Usage
            }
        };
    }
    if let (Asked::Sql(_), Some((name, _))) = (&asked, args.parameters.first()) {
        printer.error(format_args!("SQL has no parameters: `{name}`"));
        return Exit::Usage;
    }
    // What is wrong with the parameters is said before gigabytes are read.
    if let Asked::Question(question) = asked
        && let Err(error) = question.bind(&args.parameters, (0, 0))
    {
        return refuse(&error, printer);
    }
    ask(&asked, args, global, printer)
}

/// Says that a log is there, and what is to be asked of it is not.
fn no_question(path: &str, printer: Printer) -> Exit {
    let error = format_args!("there is a log, `{path}`, and no question in front of it");
    let hint = format_args!(
        "kubescry query NAME {path}, or kubescry query 'SELECT verb, count(*) AS n FROM requests GROUP BY verb' {path}; \
         `kubescry query` lists the names"
    );
    printer.print(&Diagnostic::error(error).hint(hint));
    Exit::Usage
}

/// Reads the questions of the program and those of the folders; says what is wrong with them.
///
/// # Errors
/// With the exit code, when one of them is wrong, unless it is to be left out, or it is not what is `asked`.
pub(super) fn questions(
    rules: &RuleArgs,
    asked: Option<&str>,
    printer: Printer,
) -> Result<Questions, Exit> {
    let loaded = Questions::with_folders(&rules.queries);
    let Loaded { questions, bad, .. } = loaded.map_err(|error| refuse(&error, printer))?;
    let mut exit = None;
    for (name, error) in &bad {
        let is_left_out = match asked {
            Some(asked) => asked != name,
            None => rules.skip_bad_rules,
        };
        if is_left_out {
            printer.print(&described(Diagnostic::warning(error), error));
        } else {
            exit = Some(refuse(error, printer));
        }
    }
    exit.map_or(Ok(questions), Err)
}

fn ask(asked: &Asked<'_>, args: &QueryArgs, global: &Global, printer: Printer) -> Exit {
    let (rules, compiled) = match args.rules.load(printer) {
        Ok(loaded) => loaded,
        Err(exit) => return exit,
    };
    let store = Store::new(&Vocabulary::new(), Limits::default());
    let sql = match asked {
        Asked::Question(question) => &question.sql,
        Asked::Sql(sql) => *sql,
    };
    let options = pipeline::Options {
        store: Some(store.clone()),
        detects: needs_detection(sql),
        credentials: true,
        ..args.read.options(&args.paths)
    };
    stop_on_interrupt(&options.monitor, printer);
    let scanned = progress::scan(&options.monitor, global, printer, || {
        pipeline::scan(&options, &rules, &compiled)
    });
    let scan = match scanned {
        Ok(scan) => scan,
        Err(exit) => return exit,
    };
    if let Some(error) = store.take_error() {
        printer.error(error);
        return Exit::Partial;
    }
    let exit = missing(&scan, None, printer);
    if exit == Exit::Unreadable {
        return exit;
    }
    let tables = Tables {
        snapshot: store.snapshot(),
        findings: scan.outcome.findings.into(),
        credentials: scan.outcome.credentials.into(),
    };
    match answer(asked, args, &tables, printer) {
        Ok(()) => exit,
        Err(wrong) => wrong.max(exit),
    }
}

fn answer(
    asked: &Asked<'_>,
    args: &QueryArgs,
    tables: &Tables,
    printer: Printer,
) -> Result<(), Exit> {
    let sql = match asked {
        Asked::Sql(sql) => (*sql).to_owned(),
        Asked::Question(question) => {
            let span = tables.span().map_err(|error| fail(&error, printer))?;
            question
                .bind(&args.parameters, span)
                .map_err(|error| refuse(&error, printer))?
        }
    };
    if args.show_sql {
        printer.note(&sql);
    }
    let stop = AtomicBool::new(false);
    let answer = tables.ask(&sql, &stop).map_err(|error| {
        let diagnostic = Diagnostic::error(&error);
        printer.print(&match error.hint() {
            Some(hint) => diagnostic.hint(hint),
            None => diagnostic,
        });
        Exit::Usage
    })?;
    let limit = args.limit.unwrap_or(match args.format {
        RowFormat::Table => TABLE_ROWS,
        _ => usize::MAX,
    });
    let mut out = BufWriter::new(io::stdout().lock());
    let written = write_rows(args.format, &answer, limit, &mut out).and_then(|()| out.flush());
    match printed(written, printer) {
        Exit::Done => {}
        exit => return Err(exit),
    }
    if answer.height() > limit {
        printer.warning(format_args!(
            "printed {limit} of {} rows; --limit N prints more",
            answer.height()
        ));
    }
    if let Asked::Question(question) = asked {
        let lacks = tables
            .lacks(question, &args.parameters, &stop)
            .map_err(|error| fail(&error, printer))?;
        let is_empty = answer.height() == 0;
        if is_empty && lacks.is_empty() {
            let span = tables.span().map_err(|error| fail(&error, printer))?;
            if question.is_beside(&args.parameters, span) {
                let [first, last] = [span.0, span.1].map(|millis| Timestamp(millis * 1000));
                printer.warning(format_args!(
                    "no rows: `from` and `to` leave nothing of the log, which is from {first} to {last}"
                ));
            } else {
                let strangers = tables
                    .strangers(question, &args.parameters, &stop)
                    .map_err(|error| fail(&error, printer))?;
                for stranger in &strangers {
                    printer.warning(format_args!("no rows: {stranger}"));
                }
                if strangers.is_empty() {
                    printer.note(
                        "no rows: the log holds what this question needs, and nothing in it answers",
                    );
                }
            }
        }
        let rows = if is_empty { "no rows, and " } else { "" };
        for lack in lacks {
            printer.warning(format_args!("{rows}the log lacks {lack}"));
        }
    }
    Ok(())
}

fn fail(error: &QueryError, printer: Printer) -> Exit {
    printer.error(error);
    Exit::Partial
}

fn refuse(error: &QuestionError, printer: Printer) -> Exit {
    printer.print(&described(Diagnostic::error(error), error));
    Exit::Usage
}

/// Adds what to try.
pub(super) fn described(diagnostic: Diagnostic, error: &QuestionError) -> Diagnostic {
    match &error.hint {
        Some(hint) => diagnostic.hint(hint),
        None => diagnostic,
    }
}

/// Says that something could not be written, if that is so; a closed pipe is success.
pub(super) fn printed(result: io::Result<()>, printer: Printer) -> Exit {
    match result {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            printer.error(format_args!("cannot write: {error}"));
            Exit::Partial
        }
        _ => Exit::Done,
    }
}

fn print_list(questions: &Questions) -> io::Result<()> {
    let mut out = BufWriter::new(io::stdout().lock());
    let width = questions.all().iter().map(|question| question.name.len());
    let width = width.max().unwrap_or_default();
    for (group, heading) in GROUPS {
        writeln!(out, "{heading}")?;
        let of_group = questions
            .all()
            .iter()
            .filter(|question| question.group == group);
        for question in of_group {
            writeln!(out, "  {:width$}  {}", question.name, question.title)?;
        }
    }
    writeln!(
        out,
        "\nkubescry query NAME          what it needs, and its SQL\n\
         kubescry query NAME PATH...  the answer\n\
         kubescry query SQL PATH...   one of your own; --schema lists tables and columns"
    )?;
    out.flush()
}

fn print_question(question: &Question) -> io::Result<()> {
    let mut out = BufWriter::new(io::stdout().lock());
    writeln!(out, "{}\n", question.title)?;
    if !question.read.is_empty() {
        writeln!(out, "{}\n", question.read)?;
    }
    for parameter in &question.parameters {
        let default = match &parameter.default {
            Some(default) if default.is_empty() => "default: empty".to_owned(),
            Some(default) => format!("default: {default}"),
            None => "must be told".to_owned(),
        };
        writeln!(
            out,
            "-p {}={}  {} [{default}]",
            parameter.name,
            parameter.kind.as_str().to_uppercase(),
            parameter.meaning
        )?;
    }
    if !question.parameters.is_empty() {
        writeln!(out)?;
    }
    writeln!(out, "{}", question.sql)?;
    if !question.next.is_empty() {
        writeln!(out, "\nnext: {}", question.next.join(", "))?;
    }
    out.flush()
}

fn print_schema() -> io::Result<()> {
    let mut out = BufWriter::new(io::stdout().lock());
    for (table, row) in TABLES {
        writeln!(out, "{table}: {row}")?;
        // `requests` has the columns of `events`.
        if table != "requests" {
            for column in Tables::columns(table) {
                let (meaning, end) = match column.meaning.strip_suffix(AS_LIST) {
                    None if column.is_list => (column.meaning.trim_end_matches('.'), AS_LIST),
                    _ => (column.meaning, ""),
                };
                writeln!(out, "  {:22}{meaning}{end}", column.name)?;
            }
        }
    }
    writeln!(out, "\na JSON list is text, as [\"a\",\"b\"]; {IN_LIST}")?;
    out.flush()
}

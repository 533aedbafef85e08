//! Renders templates: undefined variables are errors, and time, depth and size are limited.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Value;
use minijinja::{AutoEscape, Environment, Error, ErrorKind, Output, State, UndefinedBehavior};

use serde_json::Map;

use super::context::context;
use super::set::{SCRIPT, TEXT, Template, TemplateOrigin};
use super::{Inputs, Passwords, RenderError, Scripts, TemplateSet};
use crate::image::Profile;
use crate::image::templates::BUILT_IN;
use crate::manifest::Rendered;
use crate::manifest::escape::yaml_safe;
use crate::set::SetIdentity;

/// The maximum output of one template, in bytes.
const MAX_OUTPUT: usize = 1 << 20;
/// The fuel of one template, in instructions and bytes: it lasts for a few tenths of a second.
const FUEL: u64 = 4 << 20;
/// The script that pods of an older pgset run. All other scripts are parts of the one that the pods run.
const PREVIOUS: &str = "bootstrap-previous.sh";
/// The suffix that is removed from the name of a rendered text: `postgresql.conf.j2` becomes
/// `postgresql.conf`.
const RENDERED: &str = ".j2";
/// The maximum nesting of includes, macros and loops. An include counts as 10.
const RECURSION: usize = 200;

/// Renders all templates of the set, sorted by name.
///
/// # Errors
/// When there is no template, and for the first template with an error. The error names file, line and
/// variable. When a file of the user's own is empty.
pub fn render(templates: &TemplateSet, inputs: &Inputs<'_>) -> Result<Vec<Rendered>, RenderError> {
    let mut environment = environment()?;
    let is_script = |name: &str| name.ends_with(SCRIPT);
    for (name, template) in templates.templates.iter().filter(|(name, _)| !is_script(name)) {
        environment
            .add_template(name, &template.text)
            .map_err(|error| explain(&error, name, templates, inputs))?;
    }
    let mut context = context(inputs);
    let mut files = Map::new();
    for (name, template) in templates.texts() {
        let (key, text) = match name.strip_suffix(RENDERED) {
            None => (name, template.text.clone()),
            Some(key) => {
                let values = Value::from(minijinja::value::Serde(context.clone()));
                let text = render_one(&environment, name, &values)
                    .map_err(|error| explain(&error, name, templates, inputs))?;
                (key, text)
            }
        };
        refuse_empty(templates, name, template, &text)?;
        files.insert(key.to_owned(), text.into());
    }
    let scripts = files.iter().filter_map(|(name, text)| Some((name.as_str(), text.as_str()?)));
    if let Some(hash) = hash(scripts) {
        context["set"]["scripts"] = inputs.settings.set.scripts(&hash).into();
    }
    if inputs.scripts == Scripts::Empty {
        let scripts = files.iter_mut().filter(|(name, _)| is_script(name));
        scripts.for_each(|(_, text)| *text = "".into());
    }
    context["files"] = files.into();
    let context = Value::from(minijinja::value::Serde(context));
    let mut rendered = Vec::new();
    for (name, template) in templates.rendered() {
        let text = render_one(&environment, name, &context)
            .map_err(|error| explain(&error, name, templates, inputs))?;
        refuse_empty(templates, name, template, &text)?;
        rendered.push(Rendered { template: templates.shown(name), text });
    }
    if rendered.is_empty() {
        return Err(RenderError::NoTemplates { profile: templates.profile });
    }
    Ok(rendered)
}

/// The name of the ConfigMap with the scripts of the built-in templates, which the pods of most sets run. `None` if
/// the profile has none.
#[must_use]
pub fn scripts(set: &SetIdentity, profile: &Profile) -> Option<String> {
    let profile = profile.name().as_str();
    let texts = BUILT_IN.iter().filter(|(of, ..)| *of == profile);
    hash(texts.map(|(_, name, text)| (*name, *text))).map(|hash| set.scripts(&hash))
}

/// The hash by which the pods' template names its version of the scripts: the first 40 bits of the SHA-256 of their
/// names and texts. `None` if there is no script.
fn hash<'a>(files: impl Iterator<Item = (&'a str, &'a str)>) -> Option<String> {
    let scripts: BTreeMap<_, _> =
        files.filter(|(name, _)| name.ends_with(SCRIPT) && *name != PREVIOUS).collect();
    let mut digest = ring::digest::Context::new(&ring::digest::SHA256);
    for (name, text) in &scripts {
        for part in [name.as_bytes(), b"\0", text.as_bytes(), b"\0"] {
            digest.update(part);
        }
    }
    let digest = digest.finish();
    let text = digest.as_ref().iter().take(5).fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    });
    (!scripts.is_empty()).then_some(text)
}

/// Refuses a file of the user's own that produces nothing, unless it has a statement that may decide so: the
/// built-in templates leave objects out in this way.
fn refuse_empty(
    templates: &TemplateSet,
    name: &str,
    template: &Template,
    text: &str,
) -> Result<(), RenderError> {
    let TemplateOrigin::File(path) = &template.origin else { return Ok(()) };
    let is_nothing = |line: &str| line.is_empty() || line.starts_with('#') || line == "---";
    let rendered = !name.ends_with(SCRIPT);
    if !text.lines().all(|line| is_nothing(line.trim())) || (rendered && decides(&template.text)) {
        return Ok(());
    }
    let replaces = templates.is_built_in(name);
    Err(RenderError::Empty { path: path.clone(), replaces, rendered })
}

/// Whether a template has a statement that may leave something out.
fn decides(template: &str) -> bool {
    let keyword = |statement: &str| {
        let word = statement.trim_start_matches(['-', '+']).split_whitespace().next();
        word.is_some_and(|word| ["if", "for", "include", "import", "from"].contains(&word))
    };
    template.split("{%").skip(1).any(keyword)
}

fn environment<'source>() -> Result<Environment<'source>, RenderError> {
    let syntax = SyntaxConfig::builder()
        .trim_blocks(true)
        .lstrip_blocks(true)
        .keep_trailing_newline(true)
        .build()
        .map_err(|error| RenderError::Template {
            template: "syntax".to_owned(),
            line: None,
            message: error.kind().to_string(),
        })?;
    let mut environment = Environment::new();
    environment.set_syntax(syntax);
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|name| {
        if name.ends_with(TEXT) { AutoEscape::None } else { AutoEscape::Json }
    });
    environment.set_formatter(format);
    environment.set_fuel(Some(FUEL));
    environment.set_recursion_limit(RECURSION);
    // `debug` would print the passwords.
    environment.remove_global("debug");
    environment.add_filter("b64encode", |text: String| BASE64.encode(text));
    environment.add_filter("tojson", |value: Value| json(&value).map(Value::from_safe_string));
    Ok(environment)
}

/// Writes every value as JSON, except the output of macros and blocks, which is already text. In a text for
/// a ConfigMap, strings are written unchanged.
fn format(out: &mut Output<'_>, state: &mut State<'_, '_>, value: &Value) -> Result<(), Error> {
    let plain = matches!(state.auto_escape(), AutoEscape::None);
    match value.as_str() {
        Some(text) if plain || value.is_safe() => out.write_str(text)?,
        _ => out.write_str(&json(value)?)?,
    }
    Ok(())
}

fn json(value: &Value) -> Result<String, Error> {
    serde_json::to_string(value)
        .map(|json| yaml_safe(&json))
        .map_err(|_| Error::new(ErrorKind::BadSerialization, "the value can't be written as JSON"))
}

fn render_one(environment: &Environment<'_>, name: &str, context: &Value) -> Result<String, Error> {
    let mut out = Bounded { bytes: Vec::new(), overflown: false };
    let result = environment.get_template(name)?.render_captured_to(context, &mut out).map(|_| ());
    if out.overflown {
        let message = format!("produces more than {} KiB", MAX_OUTPUT / 1024);
        return Err(Error::new(ErrorKind::WriteFailure, message));
    }
    result?;
    String::from_utf8(out.bytes)
        .map_err(|_| Error::new(ErrorKind::WriteFailure, "produces text that is not UTF-8"))
}

/// A writer that fails after [`MAX_OUTPUT`] bytes.
struct Bounded {
    bytes: Vec<u8>,
    overflown: bool,
}

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + bytes.len() > MAX_OUTPUT {
            self.overflown = true;
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Converts an error of the template engine. The innermost error has the location; includes and macros wrap
/// it.
fn explain(
    error: &Error,
    template: &str,
    templates: &TemplateSet,
    inputs: &Inputs<'_>,
) -> RenderError {
    let mut innermost = error;
    let mut next = std::error::Error::source(error);
    while let Some(source) = next {
        if let Some(known) = source.downcast_ref::<Error>() {
            innermost = known;
        }
        next = source.source();
    }
    let message = match (innermost.kind(), innermost.detail()) {
        (ErrorKind::OutOfFuel, _) => "does not end: it takes too many steps".to_owned(),
        (ErrorKind::WriteFailure | ErrorKind::UndefinedError, Some(detail)) => detail.to_owned(),
        (ErrorKind::TemplateNotFound, Some(detail)) => {
            format!("{detail}: only files *.j2 in the same directory can be included")
        }
        (kind, None) => kind.to_string(),
        (kind, Some(detail)) => format!("{kind}: {detail}"),
    };
    RenderError::Template {
        template: templates.shown(innermost.name().unwrap_or(template)),
        line: innermost.line(),
        message: without_secrets(message, inputs),
    }
}

/// Replaces passwords and keys in the message, because the engine's details may quote a value.
fn without_secrets(mut message: String, inputs: &Inputs<'_>) -> String {
    let Passwords { superuser, primary, user } = inputs.passwords;
    let keys = inputs.certificates.map(|made| [&made.authority_keys, &made.key]);
    for secret in [superuser, primary, user].into_iter().chain(keys.into_iter().flatten()) {
        let secret = secret.expose();
        if !secret.is_empty() {
            message = message.replace(secret, "***").replace(&BASE64.encode(secret), "***");
        }
    }
    message
}

#[cfg(test)]
mod tests;

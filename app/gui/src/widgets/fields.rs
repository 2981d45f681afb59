//! Fields for text and lists of choices that fold out.

use egui::{ComboBox, Response, Role, TextEdit, Ui, WidgetInfo};

use super::focus_ring;

/// A choice of a list: its value, what it is called, and its help, which may be empty.
pub type Choice<'a, T> = (T, String, &'a str);

/// A list that folds out, `width` points wide; true when another of `choices` was taken. `name` is its accessible name.
pub fn drop_down<'a, T: PartialEq>(
    ui: &mut Ui,
    name: &str,
    width: f32,
    current: &mut T,
    choices: impl IntoIterator<Item = Choice<'a, T>>,
) -> bool {
    let choices: Vec<Choice<'_, T>> = choices.into_iter().collect();
    let shown = choices.iter().find(|(choice, ..)| choice == current);
    let shown = shown.map_or("", |(_, label, _)| label.as_str()).to_owned();
    let combo = ComboBox::from_id_salt(name).selected_text(shown).width(width);
    let mut chosen = None;
    let response = combo.show_ui(ui, |ui| {
        for (choice, label, help) in choices {
            let mut entry = ui.selectable_label(choice == *current, label);
            if !help.is_empty() {
                entry = entry.on_hover_text(help);
            }
            if entry.clicked() {
                chosen = Some(choice);
            }
        }
    });
    let info = || WidgetInfo::labeled(Role::ComboBox, ui.is_enabled(), name);
    response.response.widget_info(info);
    let changed = chosen.as_ref().is_some_and(|choice| choice != current);
    if let Some(choice) = chosen {
        *current = choice;
    }
    changed
}

/// A field for text, `width` points wide, with the accessible name `name`.
pub fn text_field(ui: &mut Ui, name: &str, width: f32, text: &mut String, hint: &str) -> Response {
    let before = text.clone();
    let response = ui.add(TextEdit::singleline(text).desired_width(width).hint_text(hint));
    response.widget_info(|| WidgetInfo {
        label: Some(name.to_owned()),
        ..WidgetInfo::text_edit(ui.is_enabled(), &before, &*text, hint)
    });
    focus_ring(ui, &response);
    response
}

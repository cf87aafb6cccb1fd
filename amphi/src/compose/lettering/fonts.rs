//! Which fonts of a machine are taken for names: of Google's Noto, which has one for every script, the upright regular one each; of
//! others, all there are in the folder.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

/// Where packages of Noto put their fonts: Debian's and Ubuntu's two, Arch's and Alpine's, Fedora's. Those that there are are read.
const FOLDERS: [&str; 5] = [
    "/usr/share/fonts/truetype/noto",
    "/usr/share/fonts/opentype/noto",
    "/usr/share/fonts/noto",
    "/usr/share/fonts/noto-cjk",
    "/usr/share/fonts/google-noto",
];

/// Fonts, and bytes of one and of all. They are mapped, so that of a font memory is taken by what is drawn of it, once for all
/// programs; what is bounded is how long a composer takes to begin, and its addresses. Noto's some 150 have 60 MB with the one for Chinese,
/// Japanese and Korean. Beyond the bounds fonts are left out, and it is said.
const FONTS_MAX: usize = 256;
const FONT_BYTES_MAX: u64 = 32 * 1024 * 1024;
const BYTES_MAX: u64 = 256 * 1024 * 1024;

/// Files of one folder that are looked at: Noto's packages have some 2,000.
const FILES_MAX: usize = 8_192;

/// What was chosen.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Chosen {
    pub fonts: Vec<PathBuf>,
    /// Fonts that are too many or too large.
    pub left_out: usize,
}

/// The fonts of this folder; none: those that packages have put where they do. What cannot be read has none.
pub fn chosen(folder: Option<&Path>) -> Chosen {
    let files = match folder {
        Some(folder) => files_of(folder).unwrap_or_default(),
        None => {
            let folders = FOLDERS.iter().map(Path::new);
            folders
                .flat_map(|folder| files_of(folder).unwrap_or_default())
                .collect()
        }
    };
    choose(files)
}

/// A font's path and its bytes.
type File = (PathBuf, u64);

/// The fonts in a folder, and not in folders in it.
pub fn files_of(folder: &Path) -> io::Result<Vec<File>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)?.take(FILES_MAX).flatten() {
        let path = entry.path();
        let is_font = path.extension().is_some_and(|extension| {
            ["ttf", "otf", "ttc", "otc"]
                .iter()
                .any(|known| extension.eq_ignore_ascii_case(known))
        });
        // Links are followed: some systems have nothing else there.
        if let Some(file) = path
            .metadata()
            .ok()
            .filter(|file| is_font && file.is_file())
        {
            files.push((path, file.len()));
        }
    }
    Ok(files)
}

/// One of Noto for each script, and all others, in the order of their names.
fn choose(files: Vec<File>) -> Chosen {
    let mut best: BTreeMap<String, (Rank, File)> = BTreeMap::new();
    for file in files {
        let stem = file
            .0
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let (key, rank) = match Noto::of(&stem) {
            Noto::Script { script, rank } => (format!("Noto {script}"), rank),
            Noto::Other => continue,
            Noto::None => (stem, Rank::default()),
        };
        let is_better = |(known, _): &(Rank, File)| rank < *known;
        if best.get(&key).is_none_or(is_better) {
            best.insert(key, (rank, file));
        }
    }
    let mut chosen = Chosen::default();
    let mut bytes = 0;
    for (path, size) in best.into_values().map(|(_, file)| file) {
        if chosen.fonts.len() >= FONTS_MAX || size > FONT_BYTES_MAX || bytes + size > BYTES_MAX {
            chosen.left_out += 1;
            continue;
        }
        bytes += size;
        chosen.fonts.push(path);
    }
    chosen
}

/// Which of two fonts of one script is taken: without serifs, else with them; regular, else of every weight.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
struct Rank {
    has_serifs: bool,
    is_variable: bool,
}

/// What a file is, by its name.
#[derive(PartialEq, Eq, Debug)]
enum Noto {
    Script {
        script: String,
        rank: Rank,
    },
    /// Of Noto, and not for names: bold or slanted, for terminals, for formulas, or a second one for the same script.
    Other,
    /// Not of Noto.
    None,
}

impl Noto {
    /// As in `NotoSansThai-Regular`, `NotoSerifTibetan[wght]`, `NotoSans-VF`.
    fn of(stem: &str) -> Self {
        let Some(rest) = stem.strip_prefix("Noto") else {
            return Self::None;
        };
        let emoji = || Self::Script {
            script: "Emoji".to_owned(),
            rank: Rank::default(),
        };
        let (family, style) = match rest.find(['-', '[']) {
            Some(at) => rest.split_at(at),
            None => (rest, ""),
        };
        let is_variable = style.starts_with('[') || style == "-VF";
        let (has_serifs, script) = match (family.strip_prefix("Sans"), family.strip_prefix("Serif"))
        {
            (Some(script), _) => (false, script),
            (None, Some(script)) => (true, script),
            (None, None) if family == "ColorEmoji" => return emoji(),
            (None, None) => return Self::Other,
        };
        let is_second = ["Mono", "Display", "Math"]
            .iter()
            .any(|kind| script.starts_with(kind))
            || script.ends_with("UI");
        if is_second || !(is_variable || style == "-Regular") {
            return Self::Other;
        }
        Self::Script {
            script: script.to_owned(),
            rank: Rank {
                has_serifs,
                is_variable,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(chosen: &Chosen) -> Vec<&str> {
        chosen
            .fonts
            .iter()
            .filter_map(|path| path.file_name()?.to_str())
            .collect()
    }

    fn of(files: &[(&str, u64)]) -> Chosen {
        choose(
            files
                .iter()
                .map(|(name, size)| (Path::new("/fonts").join(name), *size))
                .collect(),
        )
    }

    #[test]
    fn each_script_of_noto_has_one_font_and_others_are_all_taken() {
        let chosen = of(&[
            ("NotoSansThai-Bold.ttf", 1),
            ("NotoSerifThai-Regular.ttf", 1),
            ("NotoSansThai-Regular.ttf", 1),
            ("NotoSansThaiUI-Regular.ttf", 1),
            ("NotoSerifTibetan-Regular.ttf", 1),
            ("NotoSansGeorgian[wdth,wght].ttf", 1),
            ("NotoSansCJK-Regular.ttc", 1),
            ("NotoSansMonoCJKjp-Regular.otf", 1),
            ("NotoSans-Italic.ttf", 1),
            ("NotoSans-Regular.ttf", 1),
            ("NotoColorEmoji.ttf", 1),
            ("NotoMusic-Regular.ttf", 1),
            ("Lontara.otf", 1),
        ]);
        let taken = [
            "Lontara.otf",
            "NotoSans-Regular.ttf",
            "NotoSansCJK-Regular.ttc",
            "NotoColorEmoji.ttf",
            "NotoSansGeorgian[wdth,wght].ttf",
            "NotoSansThai-Regular.ttf",
            "NotoSerifTibetan-Regular.ttf",
        ];
        assert_eq!((names(&chosen), chosen.left_out), (taken.to_vec(), 0));
    }

    #[test]
    fn fonts_beyond_the_bounds_are_left_out_and_counted() {
        let many: Vec<String> = (0..FONTS_MAX + 3)
            .map(|number| format!("{number:04}.ttf"))
            .collect();
        let chosen = choose(many.iter().map(|name| (name.into(), 10)).collect());
        assert_eq!((chosen.fonts.len(), chosen.left_out), (FONTS_MAX, 3));
        let large = of(&[("a.ttf", FONT_BYTES_MAX + 1), ("b.ttf", FONT_BYTES_MAX)]);
        assert_eq!((names(&large), large.left_out), (vec!["b.ttf"], 1));
        let all: Vec<String> = (0..9).map(|number| format!("{number}.ttf")).collect();
        let chosen = choose(
            all.iter()
                .map(|name| (name.into(), FONT_BYTES_MAX))
                .collect(),
        );
        assert_eq!((chosen.fonts.len(), chosen.left_out), (8, 1));
    }

    #[test]
    fn a_folder_is_read_and_what_is_no_font_in_it_is_not() {
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["one.TTF", "two.otf", "README.md"] {
            std::fs::write(folder.path().join(name), "a letter").expect("written");
        }
        std::fs::create_dir(folder.path().join("three.ttf")).expect("a folder");
        assert_eq!(names(&chosen(Some(folder.path()))), ["one.TTF", "two.otf"]);
        assert_eq!(chosen(Some(Path::new("/nowhere"))), Chosen::default());
    }
}

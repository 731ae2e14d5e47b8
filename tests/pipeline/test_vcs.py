"""Remote and commit read from git's own files, held against git itself."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from builder.pipeline.vcs import Origin, find_origin

pytestmark = pytest.mark.skipif(
    shutil.which("git") is None, reason="GIT NOT COMPARED: there is no git (Debian package git)"
)
URL = "https://git.example.com/team/app.git"
SOURCE = "https://git.example.com/team/app"


def git(folder: Path, *words: str) -> str:
    who = ["-c", "user.name=A", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false"]
    done = subprocess.run(["git", *who, *words], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture(name="tree")
def make_tree(tmp_path: Path) -> Path:
    """A work tree with one commit and a remote."""
    tree = tmp_path / "tree"
    tree.mkdir()
    git(tree, "init", "-q", "-b", "main")
    git(tree, "remote", "add", "origin", URL)
    git(tree, "commit", "-q", "--allow-empty", "-m", "one")
    return tree


def test_remote_and_commit_are_found_from_any_folder_of_the_tree(tree: Path) -> None:
    (tree / "a/b").mkdir(parents=True)
    assert find_origin(str(tree / "a/b")) == Origin(SOURCE, git(tree, "rev-parse", "HEAD"))


def test_a_packed_ref_and_a_detached_head_are_found(tree: Path) -> None:
    first = git(tree, "rev-parse", "HEAD")
    git(tree, "pack-refs", "--all")
    assert not (tree / ".git/refs/heads/main").exists()
    assert find_origin(str(tree)).revision == first
    git(tree, "commit", "-q", "--allow-empty", "-m", "two")
    second = git(tree, "rev-parse", "HEAD")
    assert find_origin(str(tree)).revision == second, "a loose ref wins over a packed one"
    git(tree, "checkout", "-q", "--detach", first)
    assert find_origin(str(tree)).revision == first


def test_a_worktree_has_its_own_head_and_the_common_remote(tree: Path) -> None:
    other = tree.parent / "other"
    git(tree, "worktree", "add", "-q", "-b", "side", str(other))
    git(other, "commit", "-q", "--allow-empty", "-m", "side")
    assert find_origin(str(other)) == Origin(SOURCE, git(other, "rev-parse", "HEAD"))
    assert git(other, "rev-parse", "HEAD") != git(tree, "rev-parse", "HEAD")
    git(tree, "pack-refs", "--all")
    assert find_origin(str(other)).revision == git(other, "rev-parse", "HEAD")


def test_outside_of_a_tree_and_before_the_first_commit_there_is_nothing(tmp_path: Path) -> None:
    assert find_origin(str(tmp_path)) == Origin()
    git(tmp_path, "init", "-q")
    assert find_origin(str(tmp_path)) == Origin()


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (URL, SOURCE),
        ("https://user:secret@git.example.com/team/app.git", SOURCE),
        ("https://token@git.example.com:8443/team/app", "https://git.example.com:8443/team/app"),
        ("https://us@er:sec@ret@git.example.com/team/app", ""),
        ("https://git.example.com/team/app?token=secret#secret", SOURCE),
        ("git@git.example.com:team/app.git", SOURCE),
        ("ssh://git@git.example.com:2222/team/app.git", SOURCE),
        ("git://git.example.com/team/app", SOURCE),
        ("/srv/git/app.git", ""),
        ("file:///srv/git/app.git", ""),
        ("../app.git", ""),
        ("C:/git/app", ""),
    ],
)
def test_the_source_is_what_a_browser_takes_without_credentials(
    tree: Path, url: str, shown: str
) -> None:
    git(tree, "remote", "set-url", "origin", url)
    found = find_origin(str(tree)).source
    assert "secret" not in found
    assert "ret@" not in found
    assert found == shown


def test_broken_files_of_git_are_nothing(tree: Path) -> None:
    (tree / ".git/HEAD").write_bytes(b"\xff\xfe")
    (tree / ".git/config").write_text('[remote "origin"]\n')
    assert find_origin(str(tree)) == Origin()
    shutil.rmtree(tree / ".git")
    (tree / ".git").write_text("gitdir: ../gone\n")
    assert find_origin(str(tree)) == Origin()
    (tree / ".git").write_text("nothing\n")
    assert find_origin(str(tree)) == Origin()

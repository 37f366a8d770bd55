/** The one stylesheet of the pages: no font, no picture and no script is fetched. Colours keep a contrast of 4.5 and more. */

export const style = `
:root {
  color-scheme: light dark;
  --page: #f3f4f8; --card: #fff; --line: #dfe2ea; --field: #8389a0;
  --text: #1a1d29; --soft: #565d73;
  --accent: #3450d1; --accent-hover: #2a41b0; --on-accent: #fff; --tint: #eef1fd;
  --bad: #b3261e; --bad-tint: #fdeeed; --good: #17703d; --good-tint: #e8f6ee; --warn-tint: #fdf5e3; --warn: #7a5200;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #0e1017; --card: #181b25; --line: #2c3140; --field: #767e98;
    --text: #e9ebf3; --soft: #a5acc2;
    --accent: #a9b8ff; --accent-hover: #c3cdff; --on-accent: #10142b; --tint: #222841;
    --bad: #ffb0a8; --bad-tint: #35201f; --good: #86dba8; --good-tint: #17301f; --warn-tint: #322a16; --warn: #f0cd85;
  }
}
*, ::before, ::after { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; text-size-adjust: 100%; }
body {
  margin: 0; min-height: 100vh; min-height: 100dvh; padding: 1.5rem 1rem 2rem;
  display: flex; flex-direction: column; align-items: center; gap: 1.25rem;
  background: var(--page); color: var(--text);
  font: 1rem/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Liberation Sans", sans-serif;
  overflow-wrap: break-word;
}
header, main, footer { width: 100%; max-width: 33rem; min-width: 0; }
header { display: flex; align-items: center; gap: .6rem; font-weight: 600; }
header svg { flex: none; width: 1.6rem; height: 1.6rem; color: var(--accent); }
main { background: var(--card); border: 1px solid var(--line); border-radius: 1rem; padding: 2rem; box-shadow: 0 1px 2px #0000000a, 0 10px 30px #0000000f; }
footer { color: var(--soft); font-size: .875rem; text-align: center; }
h1 { margin: 0 0 .5rem; font-size: 1.6rem; line-height: 1.25; letter-spacing: -.01em; text-wrap: balance; }
h2 { margin: 0 0 .4rem; font-size: 1rem; line-height: 1.4; }
p { margin: 0 0 1rem; }
main > :last-child, section > :last-child, form > :last-child, .note > :last-child { margin-bottom: 0; }
.lead { color: var(--soft); }
a { color: var(--accent); text-underline-offset: .15em; }
bdi { overflow-wrap: anywhere; }
section, form { margin: 1.5rem 0 0; }
dl { margin: 1.25rem 0 0; border: 1px solid var(--line); border-radius: .75rem; }
dl > div { display: grid; grid-template-columns: 7.5rem minmax(0, 1fr); gap: .15rem 1rem; padding: .7rem 1rem; }
dl > div + div { border-top: 1px solid var(--line); }
dt { color: var(--soft); }
dd { margin: 0; font-weight: 550; }
ul.scopes { list-style: none; margin: 0; padding: 0; display: flex; flex-wrap: wrap; gap: .35rem; font-weight: 400; }
ul.scopes li { max-width: 100%; }
code { font: .875em/1.5 ui-monospace, "SF Mono", Menlo, Consolas, "Liberation Mono", monospace; overflow-wrap: anywhere; }
ul.scopes code { display: block; padding: .1rem .5rem; border-radius: .4rem; background: var(--tint); }
ol { margin: 0 0 1rem; padding-left: 1.4rem; color: var(--soft); }
ol li { padding-left: .2rem; }
ol li::marker { font-weight: 600; color: var(--text); }
label { display: block; font-weight: 600; }
.hint { margin: 0 0 .5rem; color: var(--soft); font-size: .925rem; }
.apart { margin-top: .75rem; }
input {
  display: block; width: 100%; min-height: 3.25rem; padding: .4rem .9rem; margin: 0 0 1rem;
  border: 1px solid var(--field); border-radius: .65rem; background: var(--card); color: var(--text);
  font: 1.35rem/1.4 ui-monospace, "SF Mono", Menlo, Consolas, "Liberation Mono", monospace; letter-spacing: .12em;
}
input[aria-invalid=true] { border: 2px solid var(--bad); }
button, .button {
  display: block; width: 100%; min-height: 3.1rem; padding: .65rem 1.2rem; margin: 0 0 1rem;
  border: 1px solid transparent; border-radius: .65rem; background: var(--accent); color: var(--on-accent);
  font: inherit; font-weight: 600; text-align: center; text-decoration: none; cursor: pointer;
}
button:hover, .button:hover { background: var(--accent-hover); }
button.plain { background: transparent; color: var(--accent); border-color: var(--field); }
button.plain:hover { background: var(--tint); }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 3px; border-radius: .65rem; }
h1:focus-visible { border-radius: .2rem; }
.note { margin: 1.25rem 0 0; padding: .8rem 1rem; border-radius: .75rem; background: var(--tint); font-size: .95rem; }
.note p { margin-bottom: .5rem; }
.note + h1 { margin-top: 1.5rem; }
.note:first-child { margin-top: 0; }
.note.bad { background: var(--bad-tint); } .note.bad h2, .note.bad a { color: var(--bad); }
.note.warn { background: var(--warn-tint); } .note.warn h2 { color: var(--warn); }
.note.good { background: var(--good-tint); } .note.good p { color: var(--good); font-weight: 600; }
.mark { width: 3.25rem; height: 3.25rem; margin: 0 0 1rem; padding: .75rem; border-radius: 50%; }
.mark svg { display: block; width: 100%; height: 100%; }
.mark.good { background: var(--good-tint); color: var(--good); }
.mark.bad { background: var(--bad-tint); color: var(--bad); }
.connections { list-style: none; margin: 1.25rem 0 0; padding: 0; display: grid; gap: 1rem; }
.connections > li { border: 1px solid var(--line); border-radius: .75rem; padding: 1rem 1.1rem; }
.connections dl { border: 0; margin: .25rem 0 0; }
.connections dl > div { padding: .3rem 0; border: 0; }
.connections form { margin-top: .8rem; }
.connections button { min-height: 2.75rem; padding: .45rem 1.2rem; width: auto; }
.head { display: flex; flex-wrap: wrap; align-items: center; justify-content: space-between; gap: .25rem .75rem; }
.head h2 { margin: 0; font-size: 1.1rem; }
.state { padding: .05rem .6rem; border-radius: 1rem; font-size: .85rem; font-weight: 600; background: var(--good-tint); color: var(--good); }
.state.bad { background: var(--bad-tint); color: var(--bad); }
@media (max-width: 30rem) {
  body { padding: 1rem .75rem 1.5rem; }
  main { padding: 1.5rem 1.15rem; }
  dl > div { grid-template-columns: minmax(0, 1fr); }
}
@media (prefers-contrast: more) { :root { --line: currentcolor; --soft: var(--text); } }
@media (forced-colors: active) { .state, ul.scopes code { border: 1px solid; } }
`

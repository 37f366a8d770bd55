/** The frame of every page, and the header fields of every answer. */
import { createHash } from 'node:crypto'
import { html, raw } from 'hono/html'
import { limits } from '../../core/limits.ts'
import { style } from './style.ts'

/** Escaped HTML, as `html` makes it of a template. */
export type Markup = ReturnType<typeof html>

/**
 * Nothing is loaded and nothing runs but one style, known by its hash; forms go to the gateway only. Pages are in no
 * frame, in no cache, share no process with what opened them, and tell other sites nothing of where they are.
 */
export const headers: { readonly [name: string]: string } = {
  'content-security-policy': [
    "default-src 'none'",
    `style-src 'sha256-${createHash('sha256').update(style).digest('base64')}'`,
    "form-action 'self'",
    "frame-ancestors 'none'",
    "base-uri 'none'",
  ].join('; '),
  // not `no-referrer`: with that, browsers send `Origin: null` with our own forms (Fetch §3.1)
  'referrer-policy': 'same-origin',
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'x-robots-tag': 'noindex',
  'cache-control': 'no-store',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
}

export interface Frame {
  readonly title: string
  /** The gateway’s name. */
  readonly name: string
  /** The browser goes there at once. */
  readonly leaveTo?: string
}

/**
 * A page. It is left by a refresh where it is left for another site, since browsers hold a redirect that answers a form
 * to `form-action` on every hop, and where a sign-in leads from its first address nobody knows beforehand.
 */
export const page = ({ title, name, leaveTo }: Frame, body: Markup): Markup =>
  html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
${
  leaveTo === undefined
    ? ''
    : html`<meta name="referrer" content="no-referrer">
<meta http-equiv="refresh" content="0;url=${leaveTo}">
`
}<title>${text(title)} · ${text(name)}</title>
<style>${raw(style)}</style>
</head>
<body>
<header>${gate}<span><bdi>${text(name)}</bdi></span></header>
<main>
${body}
</main>
<footer>Your agent never sees your password or the key to your account.</footer>
</body>
</html>
`

const gate = html`<svg viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="2" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true"><path d="M4 21V10a8 8 0 0 1 16 0v11"/><path d="M9 21v-9m6 9v-9M2 21h20"/></svg>`

const check = html`<svg viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="2.5" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true"><path d="m4 12.5 5.5 5.5L20 6.5"/></svg>`

const cross = html`<svg viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="2.5" stroke-linecap="round" aria-hidden="true"><path d="M12 5v9m0 5v.01"/></svg>`

export const mark = (kind: 'good' | 'bad'): Markup =>
  html`<div class="mark ${kind}">${kind === 'good' ? check : cross}</div>`

/** Text from outside: without controls and signs that turn the direction of writing, and of bounded length. */
export function text(from: string): string {
  const plain = from.toWellFormed().replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, '')
  return plain.length <= limits.browserTextChars
    ? plain
    : `${plain.slice(0, limits.browserTextChars - 1).toWellFormed()}…`
}

/** Text from outside, kept to itself: what it is written in turns nothing around it. */
export const said = (from: string): Markup => html`<bdi>${text(from)}</bdi>`

export const scopeList = (scopes: readonly string[]): Markup => {
  const more = scopes.length - limits.browserScopes
  return html`<ul class="scopes">${scopes
    .slice(0, limits.browserScopes)
    .map((scope) => html`<li><code>${text(scope)}</code></li>`)}${more > 0 ? html`<li>and ${more} more</li>` : ''}</ul>`
}

/** The façade’s pages: no script, one fixed style, nothing from elsewhere, in nobody’s frame. */
import { html, raw } from 'hono/html'
import { placeOf } from '../../auth/facade-redirect.ts'
import { hashed } from '../../credentials/oauth/record.ts'
import type { FacadeContext } from './room.ts'

const style = `body{font:16px/1.5 system-ui,sans-serif;max-width:34em;margin:10vh auto;padding:0 1em;color:#222;background:#fff}
h1{font-size:1.3em}dt{color:#666}dd{margin:0 0 .8em;overflow-wrap:anywhere}form{display:flex;gap:1em;margin-top:1.5em}
button{font:inherit;padding:.4em 1.4em}`

/** A digest of 32 bytes ends in one `=`. */
const styleHash = `'sha256-${hashed(style).replaceAll('-', '+').replaceAll('_', '/')}='`

/** Fields of every answer that a browser shows or follows. */
export const pageHeaders: { readonly [name: string]: string } = {
  'content-security-policy': `default-src 'none'; style-src ${styleHash}; form-action 'self'; frame-ancestors 'none'; base-uri 'none'`,
  'x-frame-options': 'DENY',
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cache-control': 'no-store',
}

type Markup = ReturnType<typeof html>

const page = async (c: FacadeContext, status: 200 | 400 | 403 | 503, title: string, body: Markup, head?: Markup) => {
  const text = await html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>${title}</title>
<style>${raw(style)}</style>
${head ?? ''}
</head>
<body>
<h1>${title}</h1>
${body}
</body>
</html>
`
  return c.html(text, status, { ...pageHeaders })
}

export interface Consent {
  readonly gateway: string
  readonly clientName: string | undefined
  readonly redirectUri: string
  readonly scopes: readonly string[]
  readonly action: string
  /** The request, sealed for this browser. */
  readonly request: string
}

export function consentPage(c: FacadeContext, consent: Consent): Promise<Response> {
  const { gateway, clientName, redirectUri, scopes, action, request } = consent
  const known =
    clientName === undefined
      ? html`It gives itself no name.`
      : html`It calls itself “<b>${clientName}</b>”. Nobody has checked that name.`
  return page(
    c,
    200,
    `Let an application use ${gateway}?`,
    html`<p>An application asks to act for you at ${gateway}. ${known}</p>
<dl>
<dt>If you allow it, your sign-in goes to</dt><dd><b>${placeOf(redirectUri)}</b><br>${redirectUri}</dd>
<dt>It asks for</dt><dd>${scopes.length === 0 ? 'what your account may do here' : scopes.join(', ')}</dd>
</dl>
<p>Go on only if you have just begun to sign in yourself, in an application that you know.</p>
<form method="post" action="${action}">
<input type="hidden" name="request" value="${request}">
<button name="decision" value="allow">Allow</button>
<button name="decision" value="deny">Cancel</button>
</form>`,
  )
}

/**
 * Sends the browser on after a form. A redirect would be the form’s own, and browsers hold each address of such a chain
 * against `form-action`; so the page, once it is there, goes on by itself.
 */
export const onwardPage = (c: FacadeContext, url: string): Promise<Response> =>
  page(
    c,
    200,
    'One moment',
    html`<p><a href="${url}">Go on</a> if nothing happens.</p>`,
    html`<meta http-equiv="refresh" content="0;url=${url}">`,
  )

/**
 * What is wrong with a request, and a way to tell the client. Nobody is sent there: whoever registers would have an
 * address of this gateway that leads anywhere (RFC 9700 §4.11.2).
 */
export const wrongRequestPage = (
  c: FacadeContext,
  words: string,
  redirectUri: string,
  url: string,
): Promise<Response> =>
  page(
    c,
    400,
    'This does not work',
    html`<p>The application has not asked as it should: ${words}</p>
<p><a href="${url}">Tell the application</a> at <b>${placeOf(redirectUri)}</b>.</p>`,
  )

export const refusalPage = (c: FacadeContext, status: 400 | 403 | 503, words: string): Promise<Response> =>
  page(c, status, 'This does not work', html`<p>${words}</p><p>Go back to your application and sign in again.</p>`)

/** What the pages say. Whatever comes from outside goes through `said`, `text` or `scopeList`. */
import { html } from 'hono/html'
import type { Connection } from '../../credentials/oauth/connections.ts'
import type { PendingSignIn } from '../../credentials/oauth/sign-in.ts'
import type { Identity, Person } from './identity.ts'
import { mark, type Markup, said, scopeList, text } from './page.ts'

export interface Form {
  /** Path under the origin. */
  readonly action: string
  readonly token: string
}

const hidden = ({ token }: Form): Markup => html`<input type="hidden" name="token" value="${token}">`

/** The fields have no border of their own in a list of facts. */
const facts = (rows: readonly (readonly [name: string, value: Markup | string])[]): Markup =>
  html`<dl>${rows.map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>`

interface Start {
  readonly service: string
  readonly pending: PendingSignIn
  readonly form: Form
}

const about = ({ service, pending }: Start, whom: string | undefined): Markup => {
  const named = service === pending.credential ? said(service) : html`${said(service)} (${said(pending.credential)})`
  return facts([
    ['Account at', named],
    ['Used by', html`tools of ${said(pending.target)}`],
    ...(whom === undefined ? [] : ([['For', said(whom)]] as const)),
    [
      'Permissions',
      pending.scopes.length === 0 ? html`what ${said(service)} allows by default` : scopeList(pending.scopes),
    ],
  ])
}

const next = (service: string): Markup =>
  html`<section><h2>What happens next</h2>
<ol><li>You sign in at ${said(service)} and agree there.</li><li>You come back here, and the account is connected.</li><li>Your agent goes on. It will not ask again while the connection lives.</li></ol></section>`

const careful = (what: string): Markup =>
  html`<div class="note warn"><h2>Did you ask for this?</h2><p>Go on only if your own agent gave you ${what} just now. If somebody else sent it to you, close this page, or your account would be theirs to use.</p></div>`

/** The caller is known: one click. */
export const startPage = (start: Start, whom: string): Markup =>
  html`<h1>Connect ${said(start.service)}</h1>
<p class="lead">Your agent called a tool that needs your own account.</p>
${about(start, whom)}${next(start.service)}
${careful('this link')}
<form method="post" action="${start.form.action}">${hidden(start.form)}<button>Continue to ${said(start.service)}</button></form>`

/** The caller shows itself by the code. `left`: tries that remain after a wrong one. */
export const codePage = (start: Start, whom: string, left?: number): Markup =>
  html`${
    left === undefined
      ? ''
      : html`<div class="note bad" role="alert" id="fault"><h2>That code is not right</h2><p><a href="#code">Look at the code again</a> and type it as your agent shows it. ${left === 1 ? 'One try is' : `${left} tries are`} left.</p></div>`
  }<h1>Connect ${said(start.service)}</h1>
<p class="lead">Your agent called a tool that needs your own account.</p>
${about(start, whom)}${next(start.service)}
${careful('the link and the code')}
<form method="post" action="${start.form.action}">${hidden(start.form)}<label for="code">Code</label>
<p class="hint" id="hint">Your agent shows it beside the link, such as K7QX-3M9P.</p>
<input id="code" name="code" required maxlength="32" autocomplete="one-time-code" autocapitalize="characters" autocorrect="off" spellcheck="false" aria-describedby="hint${left === undefined ? '' : ' fault'}"${left === undefined ? '' : html` aria-invalid="true"`}>
<button>Continue to ${said(start.service)}</button></form>`

/** Whom it is for is told to nobody else. */
export const identityPage = (start: Start, identity: Identity): Markup =>
  html`<h1>Connect ${said(start.service)}</h1>
<p class="lead">Your agent called a tool that needs your own account.</p>
${about(start, undefined)}
<section><h2>First, show that it is you</h2><p>The link works only for the person whose agent asked. Sign in as you do for your agent, at ${said(identity.label)}; then you come back here.</p></section>
<form method="post" action="${start.form.action}">${hidden(start.form)}<button>Sign in</button></form>`

export const foreignPage = (person: Person, form: Form): Markup =>
  html`${mark('bad')}<h1>This link is not for you</h1>
<p>It was made for somebody else’s agent, so nothing was connected. You are signed in as <strong>${said(person.name)}</strong>.</p>
<p>If your own agent gave you the link, sign in as the one whom the agent works for. If somebody sent it to you, close this page.</p>
<form method="post" action="${form.action}">${hidden(form)}<input type="hidden" name="again" value="1"><button class="plain">Sign in as somebody else</button></form>`

/** Shown for the moment until the next site answers. */
export const leavePage = (where: string, url: string): Markup =>
  html`<h1>On to ${said(where)}</h1>
<p class="lead">You are taken there now.</p>
<p><a class="button" href="${url}" rel="noreferrer">Continue to ${said(where)}</a></p>`

export interface Done {
  readonly service: string
  readonly target: string
  readonly account: string | undefined
  readonly scopes: readonly string[]
  readonly missing: readonly string[]
}

/** `listUrl`: where the user’s connections are, if they are shown. */
export const donePage = ({ service, target, account, scopes, missing }: Done, listUrl: string | undefined): Markup =>
  html`${mark('good')}<h1>${said(service)} is connected</h1>
<p class="lead">You can close this page and go back to your agent. If it does not go on by itself, ask it to try again.</p>
${facts([
  ...(account === undefined ? [] : ([['Account', said(account)]] as const)),
  ['Used by', html`tools of ${said(target)}`],
  ...(scopes.length === 0 ? [] : ([['Permissions', scopeList(scopes)]] as const)),
])}${
  missing.length === 0
    ? ''
    : html`<div class="note warn"><h2>Not everything was allowed</h2><p>${said(service)} did not give what is listed here. Tools that need it will ask you again.</p>${scopeList(missing)}</div>`
}${listUrl === undefined ? '' : html`<section><p><a href="${listUrl}">See and end your connections</a></p></section>`}`

/** `again`: where a link to try again leads. */
export const noticePage = (kind: 'good' | 'bad', title: string, words: string, again?: string): Markup =>
  html`${mark(kind)}<h1>${title}</h1>
<p>${words}</p>${again === undefined ? '' : html`<p><a class="button" href="${again}">Try again</a></p>`}`

export interface Listed {
  readonly connection: Connection
  readonly service: string
  readonly form: Form
}

/** `ended`: the service that has just been disconnected. */
export const listPage = (whom: string, listed: readonly Listed[], ended: string | undefined): Markup =>
  html`<h1>Your connections</h1>
<p class="lead">Accounts that tools may use for ${said(whom)}.</p>
${ended === undefined ? '' : html`<div class="note good" role="status"><p>${said(ended)} is disconnected.</p></div>`}${
  listed.length === 0
    ? html`<div class="note"><p>There are none. When a tool needs an account of yours, your agent gives you a link.</p></div>`
    : html`<ul class="connections">${listed.map(item)}</ul>`
}`

const day = new Intl.DateTimeFormat('en', { dateStyle: 'long', timeZone: 'UTC' })

const item = ({ connection, service, form }: Listed): Markup => {
  const { credential, account, scopes, state, createdAt } = connection
  const since = new Date(createdAt)
  return html`<li><div class="head"><h2>${said(service)}</h2><span class="state${state === 'active' ? '' : ' bad'}">${state === 'active' ? 'Connected' : 'Sign in again'}</span></div>
${facts([
  ...(account === undefined ? [] : ([['Account', said(account)]] as const)),
  ...(service === credential ? [] : ([['Set up as', said(credential)]] as const)),
  ['Since', html`<time datetime="${since.toISOString()}">${day.format(since)}</time>`],
  ...(scopes.length === 0 ? [] : ([['Permissions', scopeList(scopes)]] as const)),
])}${
  state === 'active'
    ? ''
    : html`<p class="hint apart">${said(service)} has ended this connection. When your agent calls a tool that needs it, you get a link to sign in again.</p>`
}
<form method="post" action="${form.action}">${hidden(form)}<button class="plain" aria-label="Disconnect ${text(service)}${account === undefined ? '' : `, ${text(account)}`}">Disconnect</button></form></li>`
}

export const listSignInPage = (identities: readonly Identity[], form: Form): Markup =>
  html`<h1>Your connections</h1>
<p>Sign in as you do for your agent, to see the accounts that its tools may use and to end connections.</p>
${identities.map(
  (identity) =>
    html`<form method="post" action="${form.action}">${hidden(form)}<input type="hidden" name="identity" value="${identity.key}"><button>Sign in${identities.length === 1 ? '' : html` at ${said(identity.label)}`}</button></form>`,
)}`

export const listElsewherePage: Markup = html`<h1>Your connections</h1>
<p>Connections are not shown here, since this gateway cannot tell in a browser who you are. Its operator lists and ends them with <code>toolgate connections</code>.</p>
<p>To end one yourself, take this gateway’s access away in the settings of your account at the service.</p>`

/** From the link to the authorization server: who is this browser, and does it want to. */
import { GatewayError } from '../../core/errors.ts'
import { shortHash } from '../../core/hash.ts'
import { limits } from '../../core/limits.ts'
import type { Json } from '../../core/model.ts'
import type { PendingSignIn } from '../../credentials/oauth/sign-in.ts'
import { asTicket, type Identity, type Person } from './identity.ts'
import { codePage, foreignPage, identityPage, noticePage, startPage } from './pages.ts'
import { proofFor, rememberPerson } from './proof.ts'
import { serviceOf } from './room.ts'
import type { Visit } from './visit.ts'

type Answer = Response | Promise<Response>

/** What a browser brings back from the authorization server: one at a time for each credential. */
export const bindingCookie = (credential: string): string => `toolgate-binding-${shortHash(credential)}`

const identityCookie = 'toolgate-identity'

export async function openRoute(visit: Visit, pendingId: string): Promise<Response> {
  const pending = await visit.room.signIns.describe(pendingId)
  if (pending?.state !== 'open') return over(visit, pending)
  const standing = await proofFor(visit.room, pending).standing(visit.browser)
  const start = { service: serviceOf(visit.room, pending.credential), pending, form: visit.form(`/${pendingId}`) }
  const title = `Connect ${start.service}`
  switch (standing.kind) {
    case 'proven':
      return visit.show(title, startPage(start, standing.name))
    case 'code':
      return visit.show(title, codePage(start, standing.name))
    case 'identity':
      return visit.show(title, identityPage(start, standing.identity))
    case 'foreign':
      return visit.show('This link is not for you', foreignPage(standing.person, start.form), 403)
    case 'absent':
      return over(visit, undefined)
  }
}

export async function startRoute(visit: Visit, pendingId: string): Promise<Response> {
  const form = await visit.browser.form(`/${pendingId}`)
  const pending = await visit.room.signIns.describe(pendingId)
  if (pending?.state !== 'open') return over(visit, pending)
  const proof = proofFor(visit.room, pending)
  const proven = await proof.prove(visit.browser, form)
  switch (proven.kind) {
    case 'proven':
      return leaveForService(visit, pending)
    case 'ask':
      return leaveForIdentity(visit, proven.identity, pendingId, proven.again)
    case 'wrong': {
      const standing = await proof.standing(visit.browser)
      if (standing.kind !== 'code') throw new GatewayError('internal')
      const start = { service: serviceOf(visit.room, pending.credential), pending, form: visit.form(`/${pendingId}`) }
      return visit.show('That code is not right', codePage(start, standing.name, proven.left), 403)
    }
    case 'over':
      return over(visit, undefined)
  }
}

function over(visit: Visit, pending: PendingSignIn | undefined): Answer {
  if (pending?.state === 'done')
    return visit.show(
      'Connected',
      noticePage('good', 'This account is connected', 'You can close this page and go back to your agent.'),
    )
  const { message } = new GatewayError('sign_in_invalid')
  return visit.show('This sign-in is over', noticePage('bad', 'This sign-in is over', message), 404)
}

async function leaveForService(visit: Visit, pending: PendingSignIn): Promise<Response> {
  const { room, browser } = visit
  const binding = room.random()
  const { tenant, subject, credential } = pending
  const url = await room.signIns.start(pending.id, { tenant, subject }, binding)
  browser.setCookie(bindingCookie(credential), binding, limits.signInMs)
  return visit.leave(serviceOf(room, credential), url)
}

/** `pendingId`: where to come back to; without it, to the list of connections. */
export async function leaveForIdentity(
  visit: Visit,
  identity: Identity,
  pendingId: string | undefined,
  again: boolean,
): Promise<Response> {
  const { url, ticket } = await identity.begin(again)
  const kept = { key: identity.key, ticket, ...(pendingId === undefined ? {} : { pendingId }) }
  visit.browser.keep(identityCookie, kept, limits.signInMs)
  return visit.leave(identity.label, url)
}

/** The browser comes back from the identity provider. */
export async function identityRoute(visit: Visit): Promise<Response> {
  visit.onlyGet()
  const kept = visit.browser.kept(identityCookie)
  const ticket = asTicket(member(kept, 'ticket'))
  const pendingId = member(kept, 'pendingId')
  const identity = visit.room.callers().identities.find(({ key }) => key === member(kept, 'key'))
  if (ticket === undefined || identity === undefined) throw new GatewayError('sign_in_invalid', { words: notBegun })
  visit.browser.dropCookie(identityCookie)
  const back = typeof pendingId === 'string' ? `/${pendingId}` : ''
  let person: Person
  try {
    person = await identity.finish(visit.query, ticket)
  } catch (error) {
    if (!(error instanceof GatewayError) || error.code === 'internal') throw error
    visit.room.log.warn({ error }, 'a user was not signed in')
    const title = 'You are not signed in'
    return visit.show(title, noticePage('bad', title, error.message, visit.link(back)), error.http)
  }
  rememberPerson(visit.browser, person)
  if (typeof pendingId === 'string') await auditForeign(visit, identity, person, pendingId)
  return visit.go(back)
}

const notBegun =
  'This sign-in was not begun in this browser, or it is over. Open the link again that your agent gave you.'

const member = (value: Json | undefined, name: string): Json | undefined =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && Object.hasOwn(value, name)
    ? value[name]
    : undefined

/** O20: somebody opened another’s link. The page tells them so; the record tells the operator. */
async function auditForeign({ room }: Visit, identity: Identity, person: Person, pendingId: string): Promise<void> {
  const pending = await room.signIns.describe(pendingId)
  if (pending === undefined || identity.is(person, pending)) return
  const { tenant, subject, credential } = pending
  room.audit({
    at: room.clock.now(),
    act: 'denied',
    tenant,
    subject,
    credential,
    outcome: 'failed',
    detail: 'identity',
  })
}

/** The user’s own page: which accounts are connected, and the end of a connection. */
import { GatewayError } from '../../core/errors.ts'
import { limits } from '../../core/limits.ts'
import type { Owner } from '../../credentials/oauth/room.ts'
import { listElsewherePage, listPage, listSignInPage } from './pages.ts'
import { signedIn } from './proof.ts'
import { serviceOf } from './room.ts'
import { leaveForIdentity } from './start.ts'
import type { Visit } from './visit.ts'

const noticeCookie = 'toolgate-notice'

interface Known {
  readonly owner: Owner
  readonly name: string
}

/** Whose connections this browser may see; `elsewhere` when no page can tell. */
function knownIn({ room, browser }: Visit): Known | 'sign in' | 'elsewhere' {
  const { everyone, identities } = room.callers()
  if (everyone !== undefined) return { owner: everyone, name: 'everyone who uses this gateway on this computer' }
  if (identities.length === 0) return 'elsewhere'
  const person = signedIn(browser)
  if (person === undefined) return 'sign in'
  const identity = identities.find((one) => one.knows({ tenant: '', subject: `${person.issuer}|${person.sub}` }))
  if (identity === undefined) return 'sign in'
  const owner = identity.ownerOf(person)
  return owner === undefined ? 'elsewhere' : { owner, name: `${person.name} (${identity.label})` }
}

export async function listRoute(visit: Visit): Promise<Response> {
  const { room, browser } = visit
  const title = 'Your connections'
  const known = knownIn(visit)
  if (known === 'elsewhere') return visit.show(title, listElsewherePage)
  if (known === 'sign in') return visit.show(title, listSignInPage(room.callers().identities, visit.form('')))
  const connections = await room.connections.listOf(known.owner)
  const notice = browser.kept(noticeCookie)
  if (notice !== undefined) browser.dropCookie(noticeCookie)
  const listed = connections.map((connection) => ({
    connection,
    service: serviceOf(room, connection.credential),
    form: visit.form(`/disconnect/${encodeURIComponent(connection.credential)}`),
  }))
  return visit.show(title, listPage(known.name, listed, typeof notice === 'string' ? notice : undefined))
}

/** To the identity provider, and back to the list. */
export async function listSignInRoute(visit: Visit): Promise<Response> {
  const form = await visit.browser.form('')
  const identity = visit.room.callers().identities.find(({ key }) => key === form.get('identity'))
  if (identity === undefined) throw new GatewayError('not_found')
  return leaveForIdentity(visit, identity, undefined, false)
}

/** What was never there and what is somebody else’s ends like what was: it is not there. */
export async function disconnectRoute(visit: Visit): Promise<Response> {
  const credential = visit.named('/disconnect/')
  await visit.browser.form(`/disconnect/${encodeURIComponent(credential)}`)
  const known = knownIn(visit)
  if (typeof known === 'string') return visit.go('')
  await visit.room.connections.disconnect(known.owner, credential)
  visit.browser.keep(noticeCookie, serviceOf(visit.room, credential), limits.browserNoticeMs)
  return visit.go('')
}

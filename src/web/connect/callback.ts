/** The browser comes back from the authorization server, and hears what came of it on a page without a code in its address. */
import { z } from 'zod'
import { GatewayError } from '../../core/errors.ts'
import { limits } from '../../core/limits.ts'
import { hashed } from '../../credentials/oauth/record.ts'
import { donePage } from './pages.ts'
import { bindingCookie } from './start.ts'
import { serviceOf } from './room.ts'
import type { Visit } from './visit.ts'

const doneShape = z.object({
  target: z.string(),
  account: z.string().optional(),
  scopes: z.array(z.string()),
  missing: z.array(z.string()),
})

/** Found by what only the browser has: its address is of no use to anyone else. */
const doneKey = (binding: string): string => `connect-done/${hashed(binding)}`

export async function callbackRoute(visit: Visit): Promise<Response> {
  visit.onlyGet()
  const { room, browser } = visit
  const credential = visit.named('/callback/')
  // without the cookie it is another browser: the sign-in is told so, and ends
  const binding = browser.cookie(bindingCookie(credential)) ?? ''
  const { target, account, scopes, missing } = await room.signIns.finish({ query: visit.query, credential, binding })
  const most = limits.browserScopes + 1
  const done: z.infer<typeof doneShape> = {
    target,
    ...(account === undefined ? {} : { account }),
    scopes: scopes.slice(0, most),
    missing: missing.slice(0, most),
  }
  const expiresAt = room.clock.now() + limits.signInMs
  await room.records.put(doneKey(binding), JSON.stringify(done), { expect: 'absent', expiresAt })
  return visit.go(`/done/${encodeURIComponent(credential)}`)
}

export async function doneRoute(visit: Visit): Promise<Response> {
  const credential = visit.named('/done/')
  const binding = visit.browser.cookie(bindingCookie(credential))
  const found = binding === undefined ? undefined : await visit.room.records.get(doneKey(binding))
  if (found === undefined) throw new GatewayError('not_found')
  const { account, ...done } = doneShape.parse(JSON.parse(found.value))
  const service = serviceOf(visit.room, credential)
  const { everyone, identities } = visit.room.callers()
  const isListed = everyone !== undefined || identities.length > 0
  return visit.show(
    `${service} is connected`,
    donePage({ ...done, account, service }, isListed ? visit.link('') : undefined),
  )
}

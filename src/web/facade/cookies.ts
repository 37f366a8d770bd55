/** What a browser keeps for the façade: which page is its own, and each sign-in that its user has allowed. */
import { getCookie, setCookie } from 'hono/cookie'
import { limits } from '../../core/limits.ts'
import { hashed } from '../../credentials/oauth/record.ts'
import type { FacadeContext, FacadeRoom } from './room.ts'

/** `__Host-` cannot be had over plain http, which only a gateway on loopback speaks. */
const named = ({ publicUrl }: FacadeRoom, name: string): string =>
  publicUrl.startsWith('https:') ? `__Host-${name}` : name

const put = (room: FacadeRoom, c: FacadeContext, name: string, value: string, seconds: number): void =>
  setCookie(c, named(room, name), value, {
    path: '/',
    httpOnly: true,
    secure: room.publicUrl.startsWith('https:'),
    // the provider’s answer is a navigation that begins at another site
    sameSite: 'Lax',
    maxAge: seconds,
  })

const seconds = limits.signInMs / 1_000

const pageName = 'toolgate-page'

/** What binds forms to this browser; the same for all its tabs. */
export function browserOf(room: FacadeRoom, c: FacadeContext): string | undefined {
  const value = getCookie(c, named(room, pageName))
  return value !== undefined && /^[\w-]{22,128}$/.test(value) ? value : undefined
}

export function rememberBrowser(room: FacadeRoom, c: FacadeContext): string {
  const browser = browserOf(room, c) ?? room.random()
  put(room, c, pageName, browser, seconds)
  return browser
}

/** One cookie a sign-in, so that two tabs do not take each other’s. */
const signInName = (state: string): string => `toolgate-sign-in-${hashed(state).slice(0, 12)}`

/** Set when the user has allowed it and not before: who has it has seen the page. */
export const putSignIn = (room: FacadeRoom, c: FacadeContext, state: string, sealed: string): void =>
  put(room, c, signInName(state), sealed, seconds)

/** Read once: the answer to the browser takes it away. */
export function takeSignIn(room: FacadeRoom, c: FacadeContext, state: string): string | undefined {
  const value = getCookie(c, named(room, signInName(state)))
  if (value !== undefined) put(room, c, signInName(state), '', 0)
  return value
}

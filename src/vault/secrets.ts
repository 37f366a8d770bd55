/** Managed secrets: kept sealed in the records under a name that the configuration refers to as `{"vault": "NAME"}`. */
import { z } from 'zod'
import type { Clock } from '../core/clock.ts'
import { GatewayError } from '../core/errors.ts'
import { limits } from '../core/limits.ts'
import type { Secret } from '../core/secret.ts'
import type { Records } from '../store/records.ts'
import type { Place, Vault } from './vault.ts'

interface SecretInfo {
  readonly name: string
  /** Milliseconds since the Unix epoch. */
  readonly updated: number
}

export interface ManagedSecrets {
  /** Sets or replaces. Rejects with `invalid_params` for a name that is none. */
  set(name: string, secret: Secret): Promise<void>
  /** `undefined` when there is none of this name. Rejects with `vault_unreadable`. */
  get(name: string): Promise<Secret | undefined>
  list(): Promise<readonly SecretInfo[]>
  /** Whether there was one. */
  remove(name: string): Promise<boolean>
}

const stored = z.strictObject({ counter: z.int(), updated: z.number(), sealed: z.string() })

const prefix = 'secret/'
const namePattern = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/

const placeOf = (name: string): Place => ({ kind: 'secret', tenant: '', principal: '', name })

export function createSecrets(records: Records, vault: Vault, clock: Clock): ManagedSecrets {
  return {
    async set(name, secret) {
      if (!namePattern.test(name))
        throw new GatewayError('invalid_params', {
          words: 'A secret’s name is 1 to 64 letters, digits, dots, hyphens, underscores.',
        })
      for (let tries = 0; tries < limits.rotationTries; tries++) {
        const found = await records.get(`${prefix}${name}`)
        // A counter that grows binds each sealed text to its own turn: an older one cannot be put back.
        const counter = found === undefined ? 1 : stored.parse(JSON.parse(found.value)).counter + 1
        const sealed = await vault.seal(placeOf(name), counter, secret)
        const value = JSON.stringify({ counter, updated: clock.now(), sealed })
        if ((await records.put(`${prefix}${name}`, value, { expect: found?.version ?? 'absent' })) !== undefined) return
      }
      throw new GatewayError('conflict', { words: 'This secret is being changed elsewhere. Try again.' })
    },
    async get(name) {
      const found = await records.get(`${prefix}${name}`)
      if (found === undefined) return undefined
      const { counter, sealed } = stored.parse(JSON.parse(found.value))
      return vault.open(placeOf(name), counter, sealed)
    },
    async list() {
      const rows = await records.list(prefix, { limit: limits.secretsListed })
      return rows.map(({ key, value }) => ({
        name: key.slice(prefix.length),
        updated: stored.parse(JSON.parse(value)).updated,
      }))
    },
    remove: (name) => records.delete(`${prefix}${name}`),
  }
}

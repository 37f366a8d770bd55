/**
 * Secrets that change while the gateway runs. A kind of credential knows fixed secrets only; where one rotates, the
 * credential is made anew with the new value, and after a 401 the values are looked at again, once.
 */
import { GatewayError } from '../core/errors.ts'
import type { InboundResponse } from '../core/model.ts'
import type { Secret } from '../core/secret.ts'
import type { CredentialProvider, Signed } from './provider.ts'

/** Where a secret that may change is. */
export interface SecretSource {
  /** The value, the same object as long as it is the same; without a promise when it is at hand. */
  current(): Secret | Promise<Secret>
  /** After this value was rejected: reads it again where that may help. Whether there is another now. */
  renew(rejected: Secret): Promise<boolean>
}

/** The values by the names of their sources. */
type Secrets = ReadonlyMap<string, Secret>

export interface RotatingOptions {
  readonly kind: string
  readonly place: CredentialProvider['place']
  readonly sources: ReadonlyMap<string, SecretSource>
  /** Makes the credential with these values; called again whenever one of them is another. */
  readonly make: (secrets: Secrets) => CredentialProvider
}

/** A credential that also judges answers and may want to see the one it is renewed after. */
export interface RotatingProvider extends CredentialProvider {
  isRejection(response: InboundResponse): boolean
  renew(
    ...args: [...Parameters<NonNullable<CredentialProvider['renew']>>, response?: InboundResponse]
  ): Promise<boolean>
}

type Judging = CredentialProvider & Partial<Pick<RotatingProvider, 'isRejection' | 'renew'>>

interface Made {
  /** Grows with every change. */
  readonly number: number
  readonly secrets: Secrets
  readonly provider: Judging
}

/** `apply` throws what the sources throw. */
export function rotating({ kind, place, sources, make }: RotatingOptions): RotatingProvider {
  let made: Made | undefined

  const withValues = (values: Secrets): Made => {
    const present = made
    if (present !== undefined && sameValues(present.secrets, values)) return present
    made = { number: (present?.number ?? 0) + 1, secrets: values, provider: make(values) }
    return made
  }

  const current = (): Made | Promise<Made> => {
    const values = new Map<string, Secret>()
    const waits: Promise<void>[] = []
    for (const [name, source] of sources) {
      const value = source.current()
      if (value instanceof Promise) waits.push(value.then((got) => void values.set(name, got)))
      else values.set(name, value)
    }
    return waits.length === 0 ? withValues(values) : Promise.all(waits).then(() => withValues(values))
  }

  return {
    kind,
    place,
    apply(request, who, target) {
      const now = current()
      if (now instanceof Promise)
        return now.then(async (got) => marked(await got.provider.apply(request, who, target), got))
      const signed = now.provider.apply(request, who, target)
      return signed instanceof Promise ? signed.then((later) => marked(later, now)) : marked(signed, now)
    },
    isRejection: (response) => made?.provider.isRejection?.(response) ?? response.status === 401,
    async renew(who, target, rejected, response) {
      const [number = '', inner = ''] = rejected.split(/ (.*)/s)
      const before = made
      if (before === undefined) throw new GatewayError('internal', { cause: new Error('nothing was signed yet') })
      if (String(before.number) !== number) return true
      // what the kind can do without other secrets comes first: a session that is over says nothing of its key
      if (inner !== '' && (await before.provider.renew?.(who, target, inner, response)) === true) return true
      const renewals = [...sources].map(async ([name, source]) => {
        const value = before.secrets.get(name)
        return value !== undefined && source.renew(value)
      })
      return (await Promise.all(renewals)).includes(true)
    },
  }
}

const sameValues = (some: Secrets, others: Secrets): boolean => {
  for (const [name, value] of others) if (some.get(name) !== value) return false
  return true
}

/** The fingerprint tells which values it was signed with, then what the kind itself says. */
const marked = (signed: Signed, { number }: Made): Signed => ({
  ...signed,
  fingerprint: signed.fingerprint === undefined ? String(number) : `${number} ${signed.fingerprint}`,
})

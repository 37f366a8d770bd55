/** What the chosen methods of a stage want to be called with, held against the credential that the target has. */
import type { Settings } from '../load.ts'
import type { CredentialConfig } from '../schema.ts'
import type { Guard } from './stage.ts'

export function guardWarnings(
  { credentials }: Pick<Settings, 'credentials'>,
  chosen: ReadonlyMap<string, ReadonlySet<Guard>>,
  credential: string | undefined,
  region: string,
): string[] {
  const has = credential !== undefined && Object.hasOwn(credentials, credential) ? credentials[credential] : undefined
  const wanted: readonly [Guard, string][] = [
    [
      'iam',
      `want IAM’s signature: a credential {"type": "sigv4", "service": "execute-api", "region": "${region}"}, whose identity may do execute-api:Invoke`,
    ],
    ['apiKey', 'want an API key: a credential {"type": "apiKey", "in": "header", "name": "x-api-key", "value": …}'],
    ['authorizer', 'are guarded by an authorizer of the API: a credential that it takes, such as one of type oauth2'],
  ]
  const counts = wanted.map(
    ([guard, words]) => [guard, words, [...chosen.values()].filter((guards) => guards.has(guard)).length] as const,
  )
  const unmet = counts
    .filter(([guard, , count]) => count > 0 && !meets(guard, has, region))
    .map(
      ([, words, count]) =>
        `${count} of ${chosen.size} tools ${words}. Put it into the configuration, and name it with --credential.`,
    )
  const apart = counts.filter(([, , count]) => count > 0).length > 1
  return apart
    ? [...unmet, 'A target has one credential: add the stage once for each, with a --name and --filter of its own.']
    : unmet
}

function meets(guard: Guard, credential: CredentialConfig | undefined, region: string): boolean {
  if (credential === undefined) return false
  if (guard === 'iam')
    return credential.type === 'sigv4' && credential.service === 'execute-api' && credential.region === region
  if (guard === 'apiKey')
    return credential.type === 'apiKey' && credential.in === 'header' && /^x-api-key$/i.test(credential.name)
  return credential.type !== 'sigv4'
}

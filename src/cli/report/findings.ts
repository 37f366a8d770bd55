/** What model providers have against a catalogue, for people. */
import type { Finding, Provider } from '../../catalogue/providers.ts'
import { type Look } from './look.ts'
import { grouped, groupText, tally } from './remarks.ts'

export const findingsText = (wanted: readonly Provider[], findings: readonly Finding[], look: Look): string =>
  `${wanted.map((provider) => providerText(provider, findings, look)).join('')}\n`

function providerText(provider: Provider, findings: readonly Finding[], look: Look): string {
  const own = findings.filter((finding) => finding.provider === provider)
  const groups = grouped(own.map(({ tool, rule, ...rest }) => ({ ...rest, code: rule, where: tool })))
  const verdict = own.some(({ severity }) => severity === 'error') ? 'refused' : 'accepted'
  const words = look.paint(verdict === 'refused' ? 'red' : 'green', verdict)
  const remarks = tally(own)
  return [
    `${look.paint('bold', provider)}: ${words}${remarks === '' ? '' : `, ${remarks}`}\n`,
    ...groups.map((group) => groupText(group, look)),
  ].join('')
}

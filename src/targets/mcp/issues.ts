/** What the import of a listing has to say, bounded in number. */
import { limits } from '../../core/limits.ts'
import type { Issue } from '../adapter.ts'

export type Tell = (severity: Issue['severity'], code: string, pointer: string, message: string) => void

export const tellInto =
  (issues: Issue[]): Tell =>
  (severity, code, pointer, message) => {
    if (issues.length < limits.documentWarnings) issues.push({ severity, code, pointer, message })
  }

/** Which machine this is, for processes that share a data folder: only on one machine does a process’s number say who it is. */
import { readlinkSync } from 'node:fs'
import { hostname } from 'node:os'
import { shortHash } from '../core/hash.ts'

/** Containers may share a host’s name and yet have numbers of their own (Linux, pid_namespaces(7)). */
const numbering = (): string => {
  try {
    return readlinkSync('/proc/self/ns/pid')
  } catch {
    return ''
  }
}

/** Eight hexadecimal digits; another one in each container. */
export const ownMachine = shortHash(`${hostname()} ${numbering()}`)

const codeOf = (error: unknown): unknown => (error instanceof Error && 'code' in error ? error.code : undefined)

/** Whether a process of this number runs on this machine. */
export const isAlive = (pid: number): boolean => {
  try {
    // signal 0 asks only whether the process exists (POSIX kill())
    process.kill(pid, 0)
    return true
  } catch (error) {
    return codeOf(error) === 'EPERM'
  }
}

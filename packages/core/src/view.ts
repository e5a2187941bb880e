import { type Session, type SessionState, statusFromState } from '@holdfast/protocol'
import type { SessionRow } from './ports.ts'
import { isoFromMs } from './time.ts'

const isoOrNull = (ms: number | null): string | null => (ms === null ? null : isoFromMs(ms))

/** A session as every call shows it (contract section 4). */
export function sessionFromRow(row: SessionRow, epoch: string, extra: { isActive?: boolean; expiresAt?: number | null } = {}): Session {
  const { record } = row
  const state = record.state as SessionState
  return {
    session_id: row.id,
    session_name: record.session_name,
    kind: row.kind as Session['kind'],
    status: statusFromState(state),
    state,
    owner: row.owner,
    project_dir: record.project_dir,
    working_dir: record.working_dir,
    project_id: record.project_id,
    agent_name: record.agent_name,
    description: record.description,
    parent_session_id: record.parent_session_id,
    previous_session_id: record.previous_session_id,
    is_active: extra.isActive ?? statusFromState(state) === 'running',
    created_at: isoFromMs(row.createdAt),
    last_activity_at: isoFromMs(row.activityAt),
    last_resumed_at: isoOrNull(record.last_resumed_at),
    ended_at: isoOrNull(record.ended_at),
    expires_at: isoOrNull(extra.expiresAt ?? null),
    epoch,
    head_seq: row.head,
    floor_seq: row.floor,
    bytes: row.bytes,
    metadata: record.metadata,
    ...(record.shown === undefined ? {} : { [row.kind]: record.shown }),
  }
}

// What Gitbeaker asks of GitLab for the operations that tiedown needs.
import { createRequire } from "node:module";

const { FORGES, HOST, TOKEN, HEAD } = process.env;
const { Gitlab } = createRequire(`${FORGES}/`)("@gitbeaker/rest");
const api = new Gitlab({ host: HOST, token: TOKEN });
const project = "ops/fleet";
const page = { perPage: 100, page: 1 };

await api.Users.showCurrentUser();
await api.MergeRequests.all({ projectId: project, state: "opened", ...page });
await api.MergeRequests.show(project, 7);
await api.Branches.show(project, "main");
await api.MergeRequestApprovals.showConfiguration(project, { mergerequestIId: 7 });
await api.MergeRequests.allDiffVersions(project, 7);
await api.Commits.allStatuses(project, HEAD, page);
await api.Commits.editStatus(project, HEAD, "success", { name: "x", description: "x" });
await api.MergeRequestNotes.all(project, 7, page);
const { id } = await api.MergeRequestNotes.create(project, 7, "x");
await api.MergeRequestNotes.edit(project, 7, id, { body: "y" });
await api.MergeRequestNotes.remove(project, 7, id);

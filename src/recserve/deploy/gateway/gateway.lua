-- What HAProxy's own words cannot say: mirrors, and waiting for the routes after a start.

local MOST_COPIES = 64
local COPY_TIMEOUT_MS = 10000
local WAIT_MS, LOOK_MS = 5000, 5
local PREFIX = "/api/predict/"
local SOCKET = "unix@./<mirror_socket>"

local routes = Map.new("<routes>", Map._str)
local sending = 0

-- Holds a request until the routes are there: a gateway that was started again refuses nobody meanwhile.
core.register_action("wait", { "http-req" }, function()
    local waited = 0
    while routes:lookup("<complete>") == nil and waited < WAIT_MS do
        core.msleep(LOOK_MS)
        waited = waited + LOOK_MS
    end
end)

local function decoded(text)
    local letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    local bits, count, result = 0, 0, {}
    for letter in text:gmatch("[%w+/]") do
        bits = ((bits << 6) | (letters:find(letter, 1, true) - 1)) & 0xffffff
        count = count + 6
        if count >= 8 then
            count = count - 8
            result[#result + 1] = string.char((bits >> count) & 0xff)
        end
    end
    return table.concat(result)
end

-- Sends a copy to other services, and forgets what they answer. Nobody waits for copies: tasks of their own
-- send them, and no more than MOST_COPIES at once.
core.register_action("mirror", { "http-req" }, function(txn)
    local body = txn.f:req_body()
    local length = tonumber(txn.f:req_hdr("content-length"))
    if body == nil or length == nil or #body < length then
        return -- larger than the buffer: half a copy is none
    end
    local rest = txn.f:pathq():sub(#PREFIX + 1):match("/.*$") or ""
    local kind = txn.f:req_hdr("content-type") or "application/octet-stream"
    for name, token in txn:get_var("txn.mirrors"):gmatch("([%w_.-]+)|([%w+/=]*)") do
        if sending >= MOST_COPIES then
            return
        end
        sending = sending + 1
        local headers = { ["content-type"] = { kind }, ["content-length"] = { tostring(length) } }
        if token ~= "" then
            headers["authorization"] = { decoded(token) }
        end
        core.register_task(function()
            pcall(function()
                core.httpclient():post({
                    url = "http://127.0.0.1" .. PREFIX .. name .. rest,
                    dst = SOCKET, headers = headers, body = body, timeout = COPY_TIMEOUT_MS,
                })
            end)
            sending = sending - 1
        end)
    end
end)
